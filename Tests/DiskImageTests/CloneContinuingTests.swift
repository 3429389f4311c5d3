import CloneStage
import DiskImage
import LinuxSystem
import StageKit
import TestKit
import Testing

@Suite struct CloneContinuingTests {
  let shop = Workshop()
  let content = noise(3 << 20)

  /// The first attempt wrote `count` bytes and ended; what is its checkpoint?
  func firstAttempt(_ count: Int) throws -> [UInt8] {
    let device = try shop.open()
    try shop.write(Array(content[..<count]), to: device)
    let token = try #require(try device.checkpoint(offset: UInt64(count)))
    device.close()
    return token
  }

  @Test func aLaterAttemptGoesOnWithWhatIsThere() throws {
    let token = try firstAttempt(2 << 20)
    let device = try shop.open(checkpoint: token)
    #expect(try device.checkpoint(offset: 0) == token)
    #expect(try device.info().identity.map { Array($0.utf8) } == token)
    var prefix = [UInt8](repeating: 0, count: 2 << 20)
    _ = try prefix.withUnsafeMutableBytes { try device.read(into: $0, at: 0) }
    #expect(prefix == Array(content[..<(2 << 20)]))
    try shop.write(content, to: device, from: 2 << 20)
    try shop.commit(content, to: device)
    #expect(shop.finished == content)
  }

  @Test func withoutACheckpointItBeginsAnew() throws {
    let token = try firstAttempt(2 << 20)
    let device = try shop.open()
    #expect(try device.checkpoint(offset: 0) != token)
    #expect(try FileStatus.of(shop.partial + "/backing")?.size == 0)
    try shop.write(content, to: device)
    try shop.commit(content, to: device)
    #expect(shop.finished == content)
  }

  @Test func aCheckpointOfAnotherFolderIsNotGoneOnWith() throws {
    let token = try firstAttempt(2 << 20)
    try Folder.removeTree(shop.partial)
    let next = try firstAttempt(1 << 20)
    #expect(next != token)
    let device = try shop.open(checkpoint: token)
    let identity = try #require(try device.info().identity)
    #expect(Array(identity.utf8) != token && Array(identity.utf8) != next)
    #expect(try FileStatus.of(shop.partial + "/backing")?.size == 0)
  }

  @Test func aPartialFolderWithoutItsMarkerIsNotGoneOnWith() throws {
    let token = try firstAttempt(2 << 20)
    try Folder.remove(file: shop.partial + "/partial")
    let device = try shop.open(checkpoint: token)
    #expect(try device.checkpoint(offset: 0) != token)
  }

  @Test func zerosReplaceWhatAnEarlierAttemptWrote() throws {
    let token = try firstAttempt(3 << 20)
    let device = try shop.open(checkpoint: token)
    // The runner goes on at the first MiB, and there the source has zeros.
    try device.zero(offset: (1 << 20) + 100, length: (5 << 20) - 100)
    try device.flush()
    let expected =
      Array(content[..<((1 << 20) + 100)]) + [UInt8](repeating: 0, count: (5 << 20) - 100)
    try shop.commit(expected, to: device)
    #expect(shop.finished == expected)
    #expect(try OpenFile.open(shop.image, .read).status().allocatedBytes <= 1 << 20 + 64 << 10)
  }

  @Test func aShorterImageIsCutToItsSize() throws {
    let token = try firstAttempt(3 << 20)
    let device = try shop.open(checkpoint: token)
    try shop.commit(Array(content[..<(1 << 20)]), to: device)
    #expect(shop.finished == Array(content[..<(1 << 20)]))
  }

  /// What a kill may leave between two steps of a commit.
  enum Remains: CaseIterable {
    case data, hashes, sidecar, noMarker, renamed
  }

  @Test(arguments: Remains.allCases)
  func anAttemptAfterAKillInTheMiddleOfACommitSucceeds(remains: Remains) throws {
    let finished = Workshop()
    try finished.make(content)
    let token = try firstAttempt(content.count)
    let left: [String] =
      switch remains {
      case .data: []
      case .hashes: ["backing.blocks"]
      case .sidecar, .noMarker, .renamed: ["backing.blocks", "backing.cfg"]
      }
    for name in left {
      try Folder.writeDurably("\(shop.partial)/\(name)", Folder.readFile("\(finished.place)/\(name)", limit: 1 << 20))
    }
    if remains == .noMarker { try Folder.remove(file: shop.partial + "/partial") }
    if remains == .renamed {
      try Folder.removeTree(shop.partial)
      try shop.make(content)
    }
    let before = shop.results.count
    let device = try shop.open(checkpoint: token)
    let goesOn = try device.checkpoint(offset: 0) == token
    #expect(goesOn == [.data, .hashes, .sidecar].contains(remains))
    if !goesOn { try shop.write(content, to: device) }
    try shop.commit(content, to: device)
    #expect(shop.finished == content)
    #expect(try Folder.list(shop.folder("images")) == ["parrot-0a1b2c3d"])
    #expect(try Folder.list(shop.place) == ["backing", "backing.blocks", "backing.cfg"])
    #expect(shop.results.count == before + 1)
    #expect(try CloneStage.open(sourceRequest(shop.image), host: shop.host).info().sha512 == sha512(content))
  }

  @Test func committingTwiceIsFine() throws {
    let device = try shop.open()
    try shop.write(content, to: device)
    try shop.commit(content, to: device)
    try shop.commit(content, to: device)
    #expect(shop.results.count == 2)
    #expect(shop.finished == content)
  }

  @Test func aPlaceThatHoldsSomethingElseIsLeftAlone() throws {
    let open = try shop.open()
    try shop.write(content, to: open)
    let squatter = Workshop(job: "another")
    try squatter.make(noise(4096, seed: 9))
    try Folder.rename(squatter.place, shop.place)
    let error = try stageError { try shop.commit(content, to: open) }
    #expect(error.code == "conflict" && error.retry == .never && error.message.contains(shop.place))
    open.close()
    #expect(shop.finished == noise(4096, seed: 9))
    #expect(try stageError { _ = try shop.open(uuid: "ffffffff") }.code == "conflict")
    try Folder.remove(file: shop.place + "/backing.cfg")
    #expect(try stageError { _ = try shop.open() }.code == "conflict")
  }

  /// Each thing that commit writes can't be written once; after that it succeeds with what is there.
  @Test(arguments: ["backing.blocks", "backing.cfg"])
  func aCommitThatFailedSucceedsWhenItIsTriedAgain(obstacle: String) throws {
    let token = try {
      let device = try shop.open()
      try shop.write(content, to: device)
      try Folder.create("\(shop.partial)/\(obstacle)/in the way")
      #expect(throws: SystemError.self) { try shop.commit(content, to: device) }
      #expect(try FileStatus.of(shop.place) == nil)
      return try #require(try device.checkpoint(offset: UInt64(content.count)))
    }()
    try Folder.removeTree("\(shop.partial)/\(obstacle)")
    let next = try shop.open(checkpoint: token)
    try shop.commit(content, to: next)
    #expect(shop.finished == content)
  }
}
