import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import VolumeStore

@Suite struct RestorationTests {
  let place = TemporaryFolder("restored")
  var folder: VolumeFolder { VolumeFolder(place("v")) }
  private let sector: UInt64 = 4096

  private func fill(_ byte: UInt8, _ sectors: Int = 1) -> [UInt8] { [UInt8](repeating: byte, count: sectors * 4096) }

  private func wanted(image: Bool = true, job: String = "j") throws -> VolumeRestoration.Wanted {
    if image, try FileStatus.of(place("image")) == nil {
      try Folder.writeDurably(place("image"), fill(9, 8))
    }
    var wanted = VolumeRestoration.Wanted(
      size: 2 << 20, image: image ? place("image") : nil, snapshot: "s1", created: "2026-01-06T02:00:03Z", job: job)
    wanted.labels = ["k": "v"]
    wanted.uuid = "u"
    return wanted
  }

  /// Data, zeros over the image, and what shows it.
  private func copy(into new: VolumeRestoration) throws {
    try fill(1).withUnsafeBytes { try new.write($0, at: 0) }
    try new.zero(offset: sector, length: 2 * sector)
    try fill(2).withUnsafeBytes { try new.write($0, at: 5 * sector) }
    try new.flush()
  }

  private var expected: [UInt8] { fill(1) + fill(0, 2) + fill(9, 2) + fill(2) + fill(9, 2) + fill(0) }

  @Test func whatIsAbsentShowsTheImageAndZerosHideIt() throws {
    let new = try VolumeRestoration(folder, wanted())
    try copy(into: new)
    #expect(try FileStatus.of(folder.path) == nil)
    try new.commit()
    #expect(try bytes(VolumeView.open(folder), 9 * 4096) == expected)
    #expect(try bytes(VolumeView.open(folder, snapshot: "s1"), 9 * 4096) == expected)
    let tree = try VolumeTree.read(folder)
    #expect(tree.volume.parent == LayerName.ofSnapshot("s1") && !tree.volume.isRebuilding && tree.volume.uuid == "u")
    let snapshot = try #require(tree.snapshots[LayerName.ofSnapshot("s1")])
    #expect(snapshot.labels == ["k": "v"] && snapshot.created == "2026-01-06T02:00:03Z" && snapshot.parent.isEmpty)
    // A volume like any other.
    try writeHead(folder, fill(7), at: 0)
    try DetachedVolume(folder).snapshot("s2")
    try DetachedVolume(folder).delete(snapshot: "s1")
    #expect(try bytes(VolumeView.open(folder), 9 * 4096) == fill(7) + expected.dropFirst(4096))
    #expect(try Folder.list(place.path) == ["image", "v"])
  }

  @Test func withoutAnImageZerosTakeNoSpace() throws {
    let new = try VolumeRestoration(folder, wanted(image: false))
    try fill(3, 4).withUnsafeBytes { try new.write($0, at: 0) }
    try new.zero(offset: 0, length: 2 << 20)
    try new.commit()
    #expect(try FileStatus.of(folder(LayerName.ofSnapshot("s1")))?.allocatedBytes == 0)
    #expect(try bytes(VolumeView.open(folder), 4 * 4096) == fill(0, 4))
  }

  @Test func anAttemptGoesOnOnlyWithItsOwn() throws {
    let first = try VolumeRestoration(folder, wanted())
    try copy(into: first)
    #expect(code { _ = try VolumeRestoration(folder, wanted(), continuing: first.identifier) } == "locked")
    let identifier = first.identifier
    func again(_ wanted: VolumeRestoration.Wanted, _ continuing: String?) throws -> [UInt8] {
      let new = try VolumeRestoration(folder, wanted, continuing: continuing)
      var bytes = fill(0xEE)
      try bytes.withUnsafeMutableBytes { try new.read(into: $0, at: 0) }
      return bytes
    }
    _ = consume first
    #expect(try again(wanted(), identifier) == fill(1))
    // Another identifier, or something else that is wanted, begins anew.
    #expect(try again(wanted(), "other") == fill(0))
    let second = try VolumeRestoration(folder, wanted())
    try copy(into: second)
    let other = second.identifier
    _ = consume second
    #expect(try again(wanted(image: false), other) == fill(0))
  }

  @Test func whatDoesNotFitIsRefused() throws {
    func wrong(_ change: (inout VolumeRestoration.Wanted) -> Void) throws -> String? {
      var wanted = try wanted()
      change(&wanted)
      return code { _ = try VolumeRestoration(folder, wanted) }
    }
    #expect(try wrong { $0.size = 4096 } == "bad-size")
    #expect(try wrong { $0.size = 4095 } == "bad-size")
    #expect(try wrong { $0.size = 0 } == "bad-size")
    #expect(try wrong { $0.snapshot = "../../etc/passwd" } == "invalid")
    let new = try VolumeRestoration(folder, wanted())
    #expect(code { try VolumeRemoval.remove(folder) } == "locked")
    #expect(code { try new.zero(offset: 2 << 20, length: 4096) } == "invalid")
    #expect(code { try new.zero(offset: 1, length: 4096) } == "invalid")
    #expect(code { try new.zero(offset: 4096, length: .max) } == "invalid")
    try new.commit()
    #expect(code { _ = try VolumeRestoration(folder, wanted(job: "other")) } == "conflict")
    try VolumeRestoration.discard(folder, job: "other")
    #expect(try FileStatus.of(folder.path) != nil)
    try VolumeRestoration.discard(folder, job: "j")
    #expect(try Folder.list(place.path) == ["image"])
  }

  private struct Crash: Error {}

  @Test func aCrashAtAnyStepLeavesNoHalfVolume() throws {
    var crashes = 0
    for step in 1... {
      let count = Mutex(0)
      let dying = VolumeFolder(folder.path) { _ in
        let now = count.withLock { count in
          count += 1
          return count
        }
        if now >= step { throw Crash() }
      }
      var isDone = false
      var identifier: String?
      do {
        let new = try VolumeRestoration(dying, wanted())
        identifier = new.identifier
        try copy(into: new)
        try new.commit()
        isDone = true
      } catch is Crash { crashes += 1 }
      if try FileStatus.of(folder.path) != nil { #expect(try bytes(VolumeView.open(folder), 9 * 4096) == expected) }
      let next = try VolumeRestoration(folder, wanted(), continuing: identifier)
      try copy(into: next)
      try next.commit()
      #expect(try bytes(VolumeView.open(folder), 9 * 4096) == expected, "step \(step)")
      #expect(try Folder.list(place.path) == ["image", "v"], "step \(step)")
      try VolumeRemoval.remove(folder)
      if isDone { break }
    }
    #expect(crashes > 12)
  }
}
