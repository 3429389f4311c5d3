import Glibc
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import VolumeStore

@Suite struct ChainTests {
  let place = TemporaryFolder("volume")
  var folder: VolumeFolder { VolumeFolder(place("v")) }
  private let sector = 4096

  @Test func theNewestLayerWithAnExtentDecides() throws {
    try Folder.writeDurably(place("image"), [UInt8](repeating: 9, count: 5 * sector))
    try VolumeCreation.create(folder, size: 1, image: place("image"))
    try writeHead(folder, [UInt8](repeating: 1, count: 3 * sector), at: 0)
    try DetachedVolume(folder).snapshot("a", labels: ["k": "v"])
    try writeHead(folder, [UInt8](repeating: 2, count: sector), at: UInt64(sector))
    try writeHead(folder, [UInt8](repeating: 0, count: sector), at: UInt64(2 * sector))
    try DetachedVolume(folder).snapshot("b")
    let expected = [1, 2, 0, 9, 9, 0].flatMap { [UInt8](repeating: $0, count: sector) }
    do {
      let view = try VolumeView.open(folder, snapshot: "b", since: "a")
      #expect(view.size == 2 << 20)
      #expect(try bytes(view, 6 * sector) == expected)
      #expect(try bytes(view, at: 4000, 5000) == Array(expected[4000..<9000]))
      let unit = UInt64(sector)
      #expect(
        try view.ownExtents(offset: 0, length: 6 * unit) == [
          .init(offset: 0, length: unit, kind: .absent), .init(offset: unit, length: 2 * unit, kind: .data),
          .init(offset: 3 * unit, length: 3 * unit, kind: .absent),
        ])
      let merged = try VolumeView.open(folder, snapshot: "b").mergedExtents(offset: 0, length: view.size)
      #expect(merged.filter { $0.kind == .data }.map(\.length).reduce(0, +) == 5 * unit)
      #expect(merged.last == .init(offset: 5 * unit, length: view.size - 5 * unit, kind: .zero))
      #expect(code { _ = try bytes(view, at: view.size, 1) } == "invalid")
    }
    // The older one is as it was, and has nothing above the newer.
    let old = try VolumeView.open(folder, snapshot: "a")
    #expect(try bytes(old, at: UInt64(sector), 2 * sector) == [UInt8](repeating: 1, count: 2 * sector))
    #expect(code { _ = try VolumeView.open(folder, snapshot: "a", since: "b") } == "base-missing")
    #expect(code { _ = try VolumeView.open(folder, snapshot: "c") } == "not-found")
    let record = try #require(try VolumeTree.read(folder).snapshots[LayerName.ofSnapshot("a")])
    #expect(record.labels == ["k": "v"] && record.isUserCreated)
  }

  /// SEEK_DATA takes such an extent for a hole; what lies below it must stay hidden.
  @Test func anUnwrittenExtentHidesOlderData() throws {
    try VolumeCreation.create(folder, size: 1 << 20)
    try writeHead(folder, [UInt8](repeating: 7, count: 4 * sector), at: 0)
    try DetachedVolume(folder).snapshot("a")
    let head = try folder.openLayer(VolumeTree.read(folder).volume.head, writable: true)
    #expect(posix_fallocate(head.file.descriptor, off_t(sector), off_t(sector)) == 0)
    let view = try VolumeView.open(folder)
    #expect(try bytes(view, 3 * sector) == [7, 0, 7].flatMap { [UInt8](repeating: $0, count: sector) })
  }

  @Test func locksKeepOthersAway() throws {
    try VolumeCreation.create(folder, size: 1)
    let view = try VolumeView.open(folder)
    #expect(code { _ = try DetachedVolume(folder) } == "locked")
    withExtendedLifetime(view) {}
    #expect(code { try VolumeCreation.create(folder, size: 1) } == "conflict")
    #expect(code { try VolumeCreation.create(VolumeFolder(place("w")), size: 0) } == "bad-size")
  }

  @Test func aVolumeHoldsItsImage() throws {
    let image = try OpenFile.open(place("image"), .createNew(permissions: 0o600))
    try image.truncate(to: 3 << 20)
    #expect(code { try VolumeCreation.create(folder, size: 2 << 20, image: place("image")) } == "bad-size")
    #expect(try VolumeCreation.create(folder, size: 3 << 20, image: place("image")).size == 4 << 20)
    try Folder.remove(file: place("image"))
    #expect(code { _ = try VolumeView.open(folder) } == "not-found")
  }

  @Test func aFileSystemWithoutExtentsIsRefused() throws {
    guard let memory = try FileStatus.of("/dev/shm"), memory.isFolder,
      let probe = try? OpenFile.unnamed(in: "/dev/shm"), (try? probe.allocatedRuns(offset: 0, length: 1)) == nil
    else { return }
    #expect(code { try VolumeFolder("/dev/shm").requireExtents() } == "not-supported")
  }

  private struct Crash: Error {}

  /// A process that dies before the nth change of the disk, for every n: none of what it was about to do happens.
  private func dying(before step: Int) -> VolumeFolder {
    let count = Mutex(0)
    return VolumeFolder(folder.path) { _ in
      let now = count.withLock { count in
        count += 1
        return count
      }
      if now >= step { throw Crash() }
    }
  }

  @Test func aCrashAtAnyStepOfASnapshotLosesNothing() throws {
    var crashes = 0
    for step in 1... {
      try Folder.removeTree(folder.path)
      try VolumeCreation.create(folder, size: 1)
      try writeHead(folder, [UInt8](repeating: 5, count: sector), at: 0)
      try DetachedVolume(folder).snapshot("first")
      try writeHead(folder, [UInt8](repeating: 6, count: sector), at: UInt64(sector))
      var isDone = false
      do {
        try DetachedVolume(dying(before: step)).snapshot("second")
        isDone = true
      } catch is Crash { crashes += 1 }
      let expected = [UInt8](repeating: 5, count: sector) + [UInt8](repeating: 6, count: sector)
      #expect(try bytes(VolumeView.open(folder), 2 * sector) == expected, "step \(step), before recovery")
      let volume = try DetachedVolume(folder)
      let has = volume.tree.snapshots[LayerName.ofSnapshot("second")] != nil
      #expect(try VolumeTree.read(folder).snapshots.count == (has ? 2 : 1))
      #expect(has || !isDone)
      if !has { try volume.snapshot("second") }
      // What is written afterwards must not reach the snapshot.
      try writeHead(folder, [UInt8](repeating: 8, count: sector), at: 0)
      #expect(try bytes(VolumeView.open(folder, snapshot: "second"), 2 * sector) == expected, "step \(step)")
      let files = try Folder.list(folder.path)
      #expect(files.filter { LayerName.isHead($0) }.count == 1 && !files.contains { $0.hasSuffix(".tmp") })
      if isDone { break }
    }
    #expect(crashes > 8)
  }

  @Test func aCrashAtAnyStepOfACreationLeavesNoHalfVolume() throws {
    for step in 1... {
      var isDone = false
      do {
        try VolumeCreation.create(dying(before: step), size: 1, job: "j")
        isDone = true
      } catch is Crash {
        #expect(try FileStatus.of(folder.path) == nil, "step \(step)")
      }
      if isDone { break }
    }
    #expect(try VolumeCreation.create(folder, size: 1, job: "j").job == "j")
    #expect(try bytes(VolumeView.open(folder), 8) == [UInt8](repeating: 0, count: 8))
  }

  private func fill(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: sector) }

  /// Three snapshots and a head, each with a sector of its own and one that it shares with what lies below.
  private func make() throws {
    if try FileStatus.of(folder.path) != nil { try VolumeRemoval.remove(folder) }
    try VolumeCreation.create(folder, size: 1)
    for (number, name) in ["a", "b", "c"].enumerated() {
      try writeHead(folder, fill(UInt8(number + 1)) + fill(UInt8(number + 11)), at: UInt64(number * sector))
      try DetachedVolume(folder).snapshot(name)
    }
    try writeHead(folder, fill(4), at: UInt64(5 * sector))
  }

  private func content(_ snapshot: String?) throws -> [UInt8] {
    try bytes(VolumeView.open(folder, snapshot: snapshot), 8 * sector)
  }

  @Test(arguments: ["a", "b", "c"]) func aCrashAtAnyStepOfADeletionChangesNoByte(name: String) throws {
    var crashes = 0
    for step in 1... {
      try make()
      let others = ["a", "b", "c"].filter { $0 != name }
      // An extent that was never written hides what lies below it.
      let layer = try folder.openLayer(LayerName.ofSnapshot("b"), writable: true)
      #expect(posix_fallocate(layer.file.descriptor, off_t(4 * sector), off_t(sector)) == 0)
      let before = try ([nil] + others).map { try content($0) }
      var isDone = false
      do {
        try DetachedVolume(dying(before: step)).delete(snapshot: name)
        isDone = true
      } catch is Crash { crashes += 1 }
      #expect(try ([nil] + others).map { try content($0) } == before, "step \(step), before recovery")
      if !isDone {
        do { try DetachedVolume(folder).delete(snapshot: name) } catch let error as VolumeError {
          #expect(error.code.rawValue == "not-found", "step \(step): \(error)")
        }
      }
      #expect(try ([nil] + others).map { try content($0) } == before, "step \(step)")
      let tree = try VolumeTree.read(folder)
      let layers = try Folder.list(folder.path).filter { LayerName.snapshot(of: $0) != nil }
      // The head lies on the last one, which stays as long as it does.
      #expect(tree.snapshots.count == (name == "c" ? 3 : 2) && layers.count == tree.snapshots.count, "step \(step)")
      #expect(code { _ = try VolumeView.open(folder, snapshot: name) } == "not-found")
      if isDone { break }
    }
    #expect(crashes > (name == "c" ? 1 : 8))
  }

  @Test func whatIsReadIsNotDeleted() throws {
    try make()
    do {
      let view = try VolumeView.open(folder, snapshot: "b")
      #expect(code { try DetachedVolume(folder).delete(snapshot: "a") } == "locked")
      #expect(try content("a").prefix(sector) == fill(1)[...], "it is still there")
      withExtendedLifetime(view) {}
    }
    #expect(code { try DetachedVolume(folder).delete(snapshot: "z") } == "not-found")
    try DetachedVolume(folder).delete(snapshot: "a")
    #expect(try VolumeTree.read(folder).snapshots.count == 2)
  }

  @Test func aCrashAtAnyStepOfARevertLeavesOneOrTheOther() throws {
    for step in 1... {
      try make()
      let (head, wanted) = (try content(nil), try content("a"))
      var isDone = false
      do {
        try DetachedVolume(dying(before: step)).revert(to: "a")
        isDone = true
      } catch is Crash {}
      let now = try content(nil)
      #expect(isDone ? now == wanted : now == wanted || now == head, "step \(step)")
      try DetachedVolume(folder).revert(to: "a")
      #expect(try content(nil) == wanted, "step \(step)")
      // What was given up is gone from the disk too.
      let heads = try Folder.list(folder.path).filter { $0.hasPrefix("volume-head-") }.sorted()
      let named = try VolumeTree.read(folder).volume.head
      #expect(heads == [named, LayerName.record(of: named)], "step \(step)")
      if isDone { break }
    }
    // Two branches now: the snapshot they share stays until one of them is gone.
    let branch = try content("c")
    try DetachedVolume(folder).snapshot("d")
    try DetachedVolume(folder).delete(snapshot: "a")
    #expect(code { try DetachedVolume(folder).revert(to: "a") } == "not-found")
    #expect(try VolumeTree.read(folder).snapshots[LayerName.ofSnapshot("a")]?.isRemoved == true)
    #expect(try content("c") == branch)
    try DetachedVolume(folder).delete(snapshot: "c")
    try DetachedVolume(folder).delete(snapshot: "b")
    #expect(try VolumeTree.read(folder).snapshots.keys.sorted() == [LayerName.ofSnapshot("d")])
    #expect(try content(nil) == Array(branch[..<sector]) + fill(11) + [UInt8](repeating: 0, count: 6 * sector))
  }

  /// Only the head that the record gives up goes; any other's data is kept, and the one in use whatever the record says.
  @Test func onlyTheHeadGivenUpIsDeleted() throws {
    try make()
    try DetachedVolume(folder).revert(to: "a")
    var volume = try VolumeTree.read(folder).volume
    let (given, wanted) = (volume.discarded, try content(nil))
    #expect(LayerName.isHead(given) && given != volume.head)
    for name in [given, "volume-head-009.img"] {
      let file = try folder.createLayer(name, size: 2 << 20)
      try fill(7).withUnsafeBytes { try file.write($0, at: 0) }
    }
    _ = try DetachedVolume(folder)
    let files = try Folder.list(folder.path)
    #expect(!files.contains { $0.hasPrefix(given) } && files.contains { $0.hasPrefix("volume-head-009.img.stray.") })
    volume.discarded = volume.head
    try folder.write(LayerName.record, volume.bytes)
    _ = try DetachedVolume(folder)
    #expect(try content(nil) == wanted)
    try DetachedVolume(folder).snapshot("d")
    #expect(try VolumeTree.read(folder).volume.discarded.isEmpty)
    volume.discarded = LayerName.ofSnapshot("a")
    try folder.write(LayerName.record, volume.bytes)
    #expect(code { _ = try DetachedVolume(folder) } == "bad-format")
  }

  /// It is done when the record says so; what a reader keeps from being merged waits for the next change.
  @Test func aReaderDoesNotFailARevert() throws {
    try make()
    try DetachedVolume(folder).delete(snapshot: "c")
    let wanted = try content("a")
    do {
      let view = try VolumeView.open(folder, snapshot: "b")
      try DetachedVolume(folder).revert(to: "a")
      withExtendedLifetime(view) {}
    }
    #expect(try content(nil) == wanted)
    #expect(try VolumeTree.read(folder).snapshots.count == 3)
    try DetachedVolume(folder).revert(to: "a")
    #expect(try VolumeTree.read(folder).snapshots.count == 2)
  }

  @Test func aCrashAtAnyStepOfARemovalIsFinishedByTheNext() throws {
    for step in 1... {
      try make()
      var isDone = false
      do {
        try VolumeRemoval.remove(dying(before: step))
        isDone = true
      } catch is Crash { try VolumeRemoval.remove(folder) }
      #expect(try Folder.list(place.path) == [], "step \(step)")
      if isDone { break }
    }
    #expect(code { try VolumeRemoval.remove(folder) } == "not-found")
    try make()
    let view = try VolumeView.open(folder, snapshot: "a")
    #expect(code { try VolumeRemoval.remove(folder) } == "locked")
    withExtendedLifetime(view) {}
  }
}
