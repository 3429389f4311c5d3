import Foundation
import LinuxSystem
import OpenSSL
import TestKit
import Testing

@testable import Backupstore

/// On a store of Longhorn's own: the volume macaw-vol with `backup-full1` and `backup-delta2`, of which the latter is the
/// last one.
@Suite struct VolumeDeletionTests {
  static let volume = "macaw-vol"
  static let pool = StorePool.volume(volume)
  static let (full, delta) = ("backup-full1", "backup-delta2")

  let clock = SimulatedClock()
  let bench: Workbench
  let store: MemoryStore

  init() throws {
    (bench, store) = Workbench.memory(clock)
    let folder = TemporaryFolder("store")
    try LonghornStore.copy("lz4", to: folder.path)
    for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
      guard let bytes = try? Data(contentsOf: URL(filePath: folder(path))) else { continue }
      store[path] = Array(bytes)
    }
  }

  private var blocks: Set<String> { blocks(store) }
  private func blocks(_ store: MemoryStore) -> Set<String> {
    Set(store.paths.filter { $0.hasPrefix(Self.pool.blocks) && $0.hasSuffix(".blk") })
  }

  private func needed(_ backup: String) throws -> Set<String> {
    Set(try #require(try store.volumeBackupConfig(backup, of: Self.volume)).blocks.map { Self.pool.block($0.name) })
  }

  private func config(_ store: MemoryStore) throws -> VolumeConfig {
    try #require(try store.volumeConfig(Self.volume))
  }

  private func delete(_ name: String, _ other: (any ObjectStore)? = nil) throws -> DeletionResult {
    try VolumeBackupDeletion.delete(name, of: Self.volume, (other.map { bench.on($0) } ?? bench).session)
  }

  private func restores(_ backup: String, _ bench: Workbench) throws -> Bool {
    let url = VolumeBackupURL(target: bench.target, volume: Self.volume, backup: backup)
    let restore = try VolumeRestore.open(url, bench.session)
    defer { restore.close() }
    return try restore.all().withUnsafeBytes { hexadecimal(SHA512.hash($0)) } == VolumeRestoreTests.restored[backup]
  }

  @Test func theLastOneHandsOver() throws {
    let (others, images) = (try needed(Self.full), store.paths.filter { $0.contains("backing-images") })
    let gone = blocks.subtracting(others).count
    #expect(try config(store).lastBackupName == Self.delta && gone > 0)
    #expect(try delete(Self.delta) == DeletionResult(existed: true, removedBlocks: gone, kept: nil))
    #expect(blocks == others)
    let left = try #require(try store.volumeBackupConfig(Self.full, of: Self.volume))
    let config = try config(store)
    #expect(config.lastBackupName == Self.full && config.lastBackupAt == left.snapshotCreatedAt)
    #expect(config.blockCount == UInt64(others.count))
    #expect(try restores(Self.full, bench))
    #expect(store.paths.filter { $0.contains("backing-images") } == images)

    #expect(try delete(Self.full) == DeletionResult(existed: true, removedBlocks: others.count, kept: nil))
    let empty = try self.config(store)
    #expect(empty.lastBackupName == "" && empty.lastBackupAt == "" && empty.blockCount == 0)
    #expect(blocks == [])
  }

  @Test func anOlderOneLeavesTheLast() throws {
    let others = try needed(Self.delta)
    let before = try config(store)
    #expect(try delete(Self.full).kept == nil)
    #expect(blocks == others)
    let after = try config(store)
    #expect(after.lastBackupName == Self.delta && after.lastBackupAt == before.lastBackupAt)
    #expect(after.blockCount == UInt64(others.count))
    #expect(try restores(Self.delta, bench))
  }

  @Test func whatIsNotThereIsFine() throws {
    let before = blocks
    #expect(try delete("backup-ghost").existed == false)
    let paths = store.paths
    let result = try VolumeBackupDeletion.delete("backup-ghost", of: "nobody", bench.session)
    #expect(result == DeletionResult(existed: false, removedBlocks: 0, kept: nil))
    #expect(blocks == before && store.paths == paths)
  }

  @Test func aConfigThatCantBeReadCanBeDeleted() throws {
    let others = try needed(Self.delta)
    store[Self.pool.config(of: Self.full)] = Array("rubbish".utf8)
    #expect(try delete(Self.full).existed)
    #expect(blocks == others)
    #expect(try restores(Self.delta, bench))
  }

  // MARK: Refusals

  @Test func aBackupInProgressIsRefused() throws {
    let locks = LockFolder(store: store, path: StoreLayout.volumeLocks(Self.volume))
    let path = Self.pool.config(of: "backup-new")
    store[path] = VolumeBackupConfig(name: "backup-new", volumeName: Self.volume).encoded()
    try locks.write(LockRecord(name: "lock-living", type: 1, isAcquired: true), deadline: .never)
    var impatient = bench
    impatient.timing.patience = 10
    impatient.timing.poll = 1
    for name in ["backup-new", Self.full] {
      let error = storeError { _ = try VolumeBackupDeletion.delete(name, of: Self.volume, impatient.session) }
      #expect(error?.code == .locked)
      #expect(store[Self.pool.config(of: name)] != nil)
    }
    clock.advance(151)
    #expect(try delete("backup-new").kept == nil, "its maker is dead")
    #expect(store[path] == nil)
  }

  @Test func aVolumesConfigThatCantBeReadRefuses() throws {
    store[StoreLayout.volumeConfig(Self.volume)] = Array("{".utf8)
    let before = blocks
    #expect(storeError { _ = try delete(Self.full) }?.code == .badConfig)
    #expect(store[Self.pool.config(of: Self.full)] != nil && blocks == before)
  }

  private func expectKept(_ name: String, _ reason: String, _ other: (any ObjectStore)? = nil) throws {
    let before = blocks
    let result = try delete(name, other)
    #expect(result.existed && result.removedBlocks == 0)
    #expect(result.kept?.contains(reason) == true, "\(result)")
    #expect(blocks == before)
    #expect(store[Self.pool.config(of: name)] == nil)
  }

  @Test func keepsEverythingBesideAConfigThatCantBeRead() throws {
    store[Self.pool.config(of: Self.full)] = Array("rubbish".utf8)
    try expectKept(Self.delta, Self.full)
    #expect(try config(store).lastBackupName == "")
  }

  @Test func keepsEverythingWhenTheBlocksCantBeListed() throws {
    try expectKept(Self.delta, "broken on purpose", FaultyStore(store, .listing(Self.pool.blocks)))
  }

  @Test func keepsEverythingWhenTheSetChanges() throws {
    let changing = ReactingStore(store) { [store] call in
      if case .read(Self.pool.config(of: Self.delta)) = call {
        store[Self.pool.config(of: "backup-zebra")] =
          VolumeBackupConfig(name: "backup-zebra", volumeName: Self.volume).encoded()
      }
    }
    try expectKept(Self.full, "changed", changing)
  }

  @Test func keepsEverythingWhenNothingIsListed() throws {
    for name in [Self.full, Self.delta] { store[Self.pool.config(of: name)] = nil }
    let before = blocks
    let result = try delete(Self.full)
    #expect(!result.existed && result.removedBlocks == 0 && result.kept != nil)
    #expect(blocks == before)
  }

  @Test func aDeadStubKeepsNothing() throws {
    let others = try needed(Self.full)
    store[Self.pool.config(of: "backup-new")] =
      VolumeBackupConfig(name: "backup-new", volumeName: Self.volume, droverLock: "lock-gone").encoded()
    #expect(try delete(Self.delta).kept == nil)
    #expect(blocks == others)
    #expect(try config(store).lastBackupName == Self.full)
  }

  // MARK: Faults

  /// Whichever call fails, is answered in vain or is the last one of a dying process: no block of the other backup is lost,
  /// and the next attempt of the job finishes.
  @Test(arguments: TendingFaultTests.Kind.allCases, [full, delta])
  func atEachPlace(_ kind: TendingFaultTests.Kind, _ victim: String) throws {
    let other = victim == Self.full ? Self.delta : Self.full
    let needed = try needed(other)
    var nth = 1
    while true {
      let folder = TemporaryFolder("job")
      let clock = SimulatedClock()
      let (bench, copy) = Workbench.memory(clock)
      for path in store.paths { copy[path] = store[path] }
      let faulty = FaultyStore(copy, kind.fault(nth))
      let attempt = { (bench: Workbench) throws -> DeletionResult in
        try VolumeBackupDeletion.delete(
          victim, of: Self.volume, note: folder("note"), threads: 1, bench.session)
      }
      _ = storeError { _ = try attempt(bench.on(faulty)) }
      #expect(blocks(copy).isSuperset(of: needed), "\(kind) \(nth)")
      let config = try config(copy)
      #expect(
        config.lastBackupName.isEmpty || copy[Self.pool.config(of: config.lastBackupName)] != nil, "\(kind) \(nth)")
      // Whatever lock the dead one left has expired by now.
      clock.advance(151)
      _ = try attempt(bench)
      #expect(blocks(copy) == needed, "\(kind) \(nth)")
      #expect(copy[Self.pool.config(of: victim)] == nil)
      #expect(try self.config(copy).blockCount == UInt64(needed.count), "\(kind) \(nth)")
      #expect(try Folder.list(folder.path) == [])
      // Nobody writes blocks here: those that are there are what they were.
      #expect(needed.allSatisfy { copy[$0]?.count == store[$0]?.count }, "\(kind) \(nth)")
      #expect(try copy.volumeBackupConfig(other, of: Self.volume)?.isComplete == true, "\(kind) \(nth)")
      if kind.isBeyond(nth, faulty) {
        #expect(try restores(other, bench))
        break
      }
      nth += 1
      try #require(nth < 500)
    }
    #expect(nth > 3, "only \(nth) places of \(kind)")
  }
}
