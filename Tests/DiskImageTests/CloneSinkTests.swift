import CloneStage
import DiskImage
import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

/// One place for an image, and what copying to it takes.
struct Workshop {
  let folder = TemporaryFolder("clone")
  var job = "j1"
  let host = RecordingHost()
  var place: String { folder("images/parrot-0a1b2c3d") }
  var partial: String { place + ".partial" }
  var image: String { place + "/backing" }

  func request(
    uuid: String = "0a1b2c3d", expected: String? = nil, checkpoint: [UInt8]? = nil, source: (any Device)? = nil
  ) -> OpenRequest {
    let expected = expected.map { #", "expectedChecksum": "\#($0)""# } ?? ""
    return OpenRequest(
      role: .sink, writable: true,
      params: #"{"folder": "\#(place)", "name": "parrot", "uuid": "\#(uuid)"\#(expected)}"#, job: job,
      jobFolder: folder.path, checkpoint: checkpoint, source: source)
  }

  func open(
    uuid: String = "0a1b2c3d", expected: String? = nil, checkpoint: [UInt8]? = nil, source: (any Device)? = nil
  ) throws -> any Device {
    try CloneStage.open(
      request(uuid: uuid, expected: expected, checkpoint: checkpoint, source: source), host: host)
  }

  func write(_ content: [UInt8], to device: any Device, from start: Int = 0) throws {
    for offset in stride(from: start, to: content.count, by: 1 << 20) {
      try content[offset..<min(offset + 1 << 20, content.count)].withUnsafeBytes {
        try device.write($0, at: UInt64(offset))
      }
    }
    try device.flush()
  }

  func commit(_ content: [UInt8], to device: any Device) throws {
    try device.commit(
      Commit(size: UInt64(content.count), sha512: sha512(content), blockHashes: blockHashes(content)))
  }

  func make(_ content: [UInt8]) throws {
    let device = try open()
    try write(content, to: device)
    try commit(content, to: device)
  }

  var finished: [UInt8]? { try? Folder.readFile(image, limit: 64 << 20) }
  var results: [[String: Any]] {
    host.records.withLock { $0 }.filter { $0.kind == "result" }.compactMap { try? object(Array($0.json.utf8)) }
  }
}

func noise(_ count: Int, seed: UInt64 = 3) -> [UInt8] {
  var noise = Noise(seed: seed)
  return noise.bytes(count)
}

@Suite struct CloneSinkTests {
  let shop = Workshop()

  @Test func theImageComesIntoItsPlaceByCommit() throws {
    let content = noise(5 << 19)
    let device = try shop.open(expected: sha512(content).uppercased())
    let info = try device.info()
    #expect(info.flags == [.writable, .imageFile, .startsZero] && info.blockPreferred == 2 << 20)
    try shop.write(content, to: device)
    #expect(try FileStatus.of(shop.place) == nil)
    try shop.commit(content, to: device)
    device.close()
    #expect(shop.finished == content)
    #expect(try Folder.list(shop.folder("images")) == ["parrot-0a1b2c3d"])
    #expect(try Folder.list(shop.place) == ["backing", "backing.blocks", "backing.cfg"])
    let result = try #require(shop.results.first)
    #expect(result["path"] as? String == shop.image)
    #expect(result["size"] as? Int == content.count && result["virtualSize"] as? Int == content.count)
    #expect(result["realSize"] as? Int == Int(try OpenFile.open(shop.image, .read).status().allocatedBytes))
    #expect(result["format"] as? String == "raw" && result["uuid"] as? String == "0a1b2c3d")
    #expect(result["checksum"] as? String == sha512(content))
    #expect(result["encrypted"] as? Bool == false && result["luks"] == nil)
    #expect(shop.results.count == 1)
  }

  @Test func itsSidecarsAreTrustedWhenItIsReadNext() throws {
    let content = noise(5 << 19)
    try shop.make(content)
    let info = try CloneStage.open(sourceRequest(shop.image), host: shop.host).info()
    #expect(info.sha512 == sha512(content))
    #expect(info.blockHashes == blockHashes(content))
    #expect(try ImageSidecar.read(of: shop.image)?.name == shop.image)
  }

  @Test func qcow2IsKeptAsItIs() throws {
    let content = qcow2Header(virtualSize: 1 << 30)
    try shop.make(content)
    #expect(shop.finished == content)
    #expect(shop.results.first?["format"] as? String == "qcow2")
    #expect(shop.results.first?["virtualSize"] as? Int == 1 << 30)
    #expect(shop.results.first?["size"] as? Int == 512)
  }

  @Test func blocksMayComeInAnyOrderAndHolesStayHoles() throws {
    let device = try shop.open()
    let content = [UInt8](repeating: 0, count: 4 << 20) + noise(1 << 20) + [UInt8](repeating: 0, count: 3 << 20)
    try device.zero(offset: 5 << 20, length: 3 << 20)
    try content[(9 << 19)..<(5 << 20)].withUnsafeBytes { try device.write($0, at: 9 << 19) }
    try content[(4 << 20)..<(9 << 19)].withUnsafeBytes { try device.write($0, at: 4 << 20) }
    try device.zero(offset: 0, length: 4 << 20)
    try device.flush()
    #expect(
      try device.extents(offset: 0, length: 8 << 20).filter { $0.kind == .data } == [
        Extent(offset: 4 << 20, length: 1 << 20, kind: .data)
      ])
    var ahead = [UInt8](repeating: 0xEE, count: 1 << 20)
    #expect(try ahead.withUnsafeMutableBytes { try device.read(into: $0, at: 9 << 19) } == 1 << 20)
    #expect(ahead == Array(content[(9 << 19)..<(11 << 19)]))
    try shop.commit(content, to: device)
    #expect(shop.finished == content)
    #expect(try OpenFile.open(shop.image, .read).status().allocatedBytes <= 1 << 20 + 64 << 10)
  }

  @Test(arguments: [0, 1, 511, 513, (2 << 20) + 1])
  func aSizeThatIsNoMultipleOf512IsRefused(size: Int) throws {
    let content = noise(size)
    let device = try shop.open()
    try shop.write(content, to: device)
    let error = try stageError { try shop.commit(content, to: device) }
    #expect(error.code == "bad-size" && error.retry == .never && error.message.contains("\(size) bytes"))
    #expect(try FileStatus.of(shop.place) == nil)
    let source = Announced(size: UInt64(size))
    #expect(try stageError { _ = try Workshop().open(source: source) }.code == "bad-size")
  }

  @Test(arguments: [512, 1024, (2 << 20) - 512, 2 << 20, (2 << 20) + 512])
  func anyMultipleOf512IsKept(size: Int) throws {
    let content = noise(size)
    try shop.make(content)
    #expect(shop.finished == content)
    #expect(try CloneStage.open(sourceRequest(shop.image), host: shop.host).info().blockHashes == blockHashes(content))
  }

  @Test func anotherChecksumThanExpectedIsRefused() throws {
    let content = noise(4096)
    let device = try shop.open(expected: sha512([]))
    try shop.write(content, to: device)
    #expect(try stageError { try shop.commit(content, to: device) }.code == "checksum-mismatch")
    #expect(try FileStatus.of(shop.place) == nil)
  }

  @Test func discardLeavesTheImageOfAnotherJob() throws {
    try shop.make(noise(4096))
    var later = shop
    later.job = "j2"
    let other = try later.open()
    try later.write(noise(8192), to: other)
    other.close()
    try CloneStage.discard(later.request(), host: shop.host)
    try CloneStage.discard(later.request(), host: shop.host)
    #expect(try Folder.list(shop.folder("images")) == ["parrot-0a1b2c3d"])
    #expect(shop.finished == noise(4096))
  }

  /// An attempt that was killed between its last step and its last word has left a whole image. The job is discarded
  /// only where nobody has heard that word, so nobody misses it.
  @Test func discardTakesBackWhatTheJobPutInPlace() throws {
    try shop.make(noise(4096))
    try CloneStage.discard(shop.request(), host: shop.host)
    #expect(try Folder.list(shop.folder("images")) == [])
  }

  @Test func aLaterAttemptWithOtherContentReplacesWhatTheJobPutInPlace() throws {
    try shop.make(noise(4096))
    try shop.make(noise(8192))
    #expect(shop.finished == noise(8192))
    #expect(try Folder.list(shop.folder("images")) == ["parrot-0a1b2c3d"])
  }

  @Test func twoCantWriteOneImage() throws {
    let first = try shop.open()
    let error = try stageError { _ = try shop.open() }
    #expect(error.code == "locked" && error.retry == .transient)
    try shop.write(noise(4096), to: first)
    try shop.commit(noise(4096), to: first)
    #expect(shop.finished == noise(4096))
  }
}

/// A source that only says its size.
final class Announced: Device {
  let size: UInt64
  init(size: UInt64) { self.size = size }
  func info() throws -> DeviceInfo { DeviceInfo(size: size) }
}
