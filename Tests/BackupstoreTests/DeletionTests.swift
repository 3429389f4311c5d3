import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct DeletionTests {
  static let parrot = SourceImage.filled([1, 2, nil, 9])
  static let robin = SourceImage.filled([2, 3, 9])

  let clock = SimulatedClock()
  let bench: Workbench
  let store: MemoryStore

  init() throws {
    (bench, store) = Workbench.memory(clock)
    try bench.backUp(Self.parrot, as: "parrot")
    try bench.backUp(Self.robin, as: "robin")
  }

  private var blocks: Int { store.paths.filter { $0.hasSuffix(".blk") }.count }

  private func delete(_ name: String, _ store: (any ObjectStore)? = nil) throws -> DeletionResult {
    try ImageDeletion.delete(name, store.map { bench.on($0).session } ?? bench.session)
  }

  @Test func removesExactlyWhatNobodyNeeds() throws {
    #expect(blocks == 4)
    #expect(try delete("parrot") == DeletionResult(existed: true, removedBlocks: 1, kept: nil))
    #expect(blocks == 3)
    #expect(try bench.store.imageNames() == ["robin"])
    #expect(try bench.restores("robin", Self.robin))
    #expect(try delete("robin") == DeletionResult(existed: true, removedBlocks: 3, kept: nil))
    #expect(store.paths.filter { !$0.hasSuffix(".blk") } == [])
  }

  @Test func takesTheLockForDeletion() throws {
    let folder = LockFolder(store: store, path: StoreLayout.imageLocks)
    try folder.write(LockRecord(name: "lock-restoring", type: 1, isAcquired: true), deadline: .never)
    var impatient = bench
    impatient.timing.patience = 10
    impatient.timing.poll = 1
    let error = storeError { _ = try ImageDeletion.delete("parrot", impatient.session) }
    #expect(error?.code == .locked)
    #expect(try bench.restores("parrot", Self.parrot))
  }

  @Test func whatIsNotThereIsFine() throws {
    #expect(try delete("ghost") == DeletionResult(existed: false, removedBlocks: 0, kept: nil))
    #expect(try bench.restores("parrot", Self.parrot))
  }

  @Test(arguments: ["", "rubbish", "{\"Size\":"]) func aConfigThatCantBeReadCanBeDeleted(_ text: String) throws {
    store[StoreLayout.imageConfig("parrot")] = Array(text.utf8)
    #expect(try delete("parrot") == DeletionResult(existed: true, removedBlocks: 1, kept: nil))
    #expect(try bench.restores("robin", Self.robin))
  }

  @Test func theTemporariesOfAConfigGoWithIt() throws {
    store["\(StoreLayout.image("parrot"))/backing-image.cfg.tmp.5"] = [1]
    _ = try delete("parrot")
    #expect(try bench.store.imageNames() == ["robin"])
  }

  // MARK: Refusals: the backup is gone, and every block stays

  private func expectKept(_ reason: String, _ faulty: (any ObjectStore)? = nil) throws {
    let before = blocks
    let result = try delete("parrot", faulty)
    #expect(result.existed)
    #expect(result.removedBlocks == 0)
    #expect(result.kept?.contains(reason) == true, "\(result.kept ?? "nothing was kept")")
    #expect(blocks == before)
    #expect(try bench.store.imageConfig("parrot") == nil)
  }

  @Test(arguments: ["rubbish", "{}x", #"{"Size":"1","Blocks":[{"Offset":1}]}"#])
  func keepsEverythingBesideAConfigThatCantBeRead(_ text: String) throws {
    store[StoreLayout.imageConfig("zebra")] = Array(text.utf8)
    if text == "{}x" {
      // An unfinished one that nobody works on needs no blocks.
      #expect(try delete("parrot").removedBlocks == 1)
    } else {
      try expectKept("zebra")
    }
  }

  @Test func keepsEverythingWhenAConfigCantBeLoaded() throws {
    try expectKept("broken on purpose", FaultyStore(store, .reading("robin/backing-image.cfg")))
  }

  @Test(arguments: [StoreLayout.imageBlocks]) func keepsEverythingWhenAListingFails(_ prefix: String) throws {
    try expectKept("broken on purpose", FaultyStore(store, .listing(prefix)))
  }

  @Test func keepsEverythingBesideABackupInProgress() throws {
    // Its maker's lock is one that this deletion does not see as an obstacle: it came after the deletion's own.
    store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512, droverLock: "lock-live").encoded()
    let live = LockFolder(store: store, path: StoreLayout.imageLocks)
    let late = ReactingStore(store) { call in
      if case .names(StoreLayout.images) = call {
        try? live.write(LockRecord(name: "lock-live", type: 1, isAcquired: true), deadline: .never)
      }
    }
    try expectKept("lock-live", late)
  }

  @Test func aDeadStubKeepsNothing() throws {
    store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512, droverLock: "lock-gone").encoded()
    #expect(try delete("parrot").removedBlocks == 1)
  }

  @Test func keepsEverythingWhenTheSetOfImagesChanges() throws {
    let changing = ReactingStore(store) { [store] call in
      if case .read(StoreLayout.imageConfig("robin")) = call {
        store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512).encoded()
      }
    }
    try expectKept("changed", changing)
  }

  @Test func keepsEverythingBesideAFolderWithoutAConfig() throws {
    store["\(StoreLayout.image("zebra"))/backing-image.cfg.old"] = [1]
    try expectKept("zebra")
  }

  /// The folder of images is gone and the blocks are there: the store is damaged, not empty.
  @Test func keepsEverythingWhenNoImageIsListed() throws {
    for name in ["parrot", "robin"] { store[StoreLayout.imageConfig(name)] = nil }
    let result = try delete("parrot")
    #expect(!result.existed)
    #expect(result.removedBlocks == 0)
    #expect(result.kept?.contains("no image is listed") == true)
    #expect(blocks == 4)
  }

  @Test func oneBlockThatCantBeRemovedKeepsNoOther() throws {
    _ = try delete("robin")
    let victim = try #require(store.paths.first { $0.hasSuffix(".blk") })
    let before = blocks
    let result = try delete("parrot", FaultyStore(store, .removing(String(victim.suffix(20)))))
    #expect(result.removedBlocks == before - 1)
    #expect(result.kept?.contains("1 blocks could not be removed") == true)
    #expect(store.paths.filter { $0.hasSuffix(".blk") } == [victim])
  }

  /// Whichever removal it is that fails once, of a config, a block, a lock, or of what a dead writer left: the
  /// deletion, or the attempt after it, leaves nothing. A block or a file of a dead writer costs no other attempt.
  @Test func anErrorThatPassesLeavesNothing() throws {
    let unfinished = "\(StoreLayout.imageBlock(BlockName(String(repeating: "a", count: 64))!)).tmp.7"
    for nth in 1... {
      let folder = TemporaryFolder("deletion")
      let (bench, store) = Workbench.memory()
      try bench.backUp(Self.parrot, as: "parrot")
      store[unfinished] = [1]
      let faulty = FaultyStore(store, .removal(nth))
      let attempt = { try ImageDeletion.delete("parrot", note: folder("note"), bench.on(faulty).session) }
      let error = storeError {
        let result = try attempt()
        #expect(result == DeletionResult(existed: true, removedBlocks: 3, kept: nil), "removal \(nth)")
      }
      if let failed = faulty.failed {
        #expect(
          error == nil || !StoreName.isTemporary(failed) && !failed.hasSuffix(".blk"), "removal \(nth): \(failed)")
      }
      if error != nil { #expect(try attempt().kept == nil, "removal \(nth)") }
      #expect(store.paths == [], "removal \(nth)")
      #expect(try Folder.list(folder.path) == [], "removal \(nth)")
      if faulty.failed == nil { return #expect(nth > 5) }
    }
  }

  @Test func anUnfinishedFileThatCantBeRemovedKeepsNothingElse() throws {
    let unfinished = "\(StoreLayout.imageBlock(BlockName(String(repeating: "a", count: 64))!)).tmp.7"
    store[unfinished] = [1]
    let result = try delete("parrot", FaultyStore(store, .removing(".tmp.7")))
    #expect(result.removedBlocks == 1)
    #expect(result.kept?.contains("1 unfinished files could not be removed") == true)
    #expect(store.paths.contains(unfinished))
  }

  @Test func aLostLeaseStopsBeforeTheNextRemoval() throws {
    let late = ReactingStore(store) { [clock] call in
      if case .remove(let path) = call, path.hasSuffix(".cfg") { clock.advance(200) }
    }
    let before = blocks
    let error = storeError { _ = try delete("parrot", late) }
    #expect(error?.code == .lockLost)
    #expect(blocks == before)
    #expect(try delete("ghost").removedBlocks == 1, "the next deletion makes up for it")
  }

  /// A driver that goes on trying when others may have taken the lock for expired removes what they count on. Blocks that
  /// are added harm nobody.
  @Test func noChangeOutlivesTheLease() throws {
    let lease = bench.session.timing.lease
    let usual = Deadline.usual.bootSeconds - BootClock.seconds()
    #expect(lease < usual, "or nothing is tested")
    let log = ChangeLog(lease: lease)
    let watching = ReactingStore(store, { _ in }, onChange: log.note)
    _ = try delete("parrot", watching)
    #expect(log.paths.contains { $0.hasSuffix(".cfg") })
    #expect(log.paths.contains { $0.hasSuffix(".blk") })
    #expect(log.tooLong == [])
    try bench.on(watching).backUp(Self.parrot, as: "zebra")
    #expect(log.paths.contains(StoreLayout.imageConfig("zebra")))
    #expect(log.tooLong.filter { !$0.hasSuffix(".blk") } == [])
  }

  /// What is changed beside the locks, and what of it may take longer than a lease.
  private final class ChangeLog: Sendable {
    private let lease: Double
    private let state = Mutex<(paths: [String], tooLong: [String])>(([], []))

    init(lease: Double) { self.lease = lease }

    var paths: [String] { state.withLock { $0.paths } }
    var tooLong: [String] { state.withLock { $0.tooLong } }

    func note(_ path: String, _ deadline: Deadline) {
      guard !path.contains("/locks/") else { return }
      let isTooLong = deadline.bootSeconds > BootClock.seconds() + lease
      state.withLock { state in
        state.paths.append(path)
        if isTooLong { state.tooLong.append(path) }
      }
    }
  }

  @Test func aVanishedFolderIsNeverEmpty() throws {
    let folder = TemporaryFolder("store")
    try Folder.create(folder("target"))
    let url = try StoreURL("file://\(folder("target"))")
    let other = Workbench(store: try FileStore(url), target: url)
    try other.backUp(Self.parrot, as: "parrot")
    try Folder.rename(folder("target"), folder("moved"))
    #expect(storeError { _ = try ImageDeletion.delete("parrot", other.session) }?.code == .targetUnreachable)
    try Folder.rename(folder("moved"), folder("target"))
    #expect(try other.restores("parrot", Self.parrot))
  }
}
