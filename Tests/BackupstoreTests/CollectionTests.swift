import LinuxSystem
import TestKit
import Testing

@testable import Backupstore

@Suite struct CollectionTests {
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

  private var blocks: [String] { store.paths.filter { $0.hasSuffix(".blk") } }

  private func collect(
    dryRun: Bool = false, _ other: (any ObjectStore)? = nil
  ) throws -> [StoreCollection.PoolResult] {
    try StoreCollection.run(dryRun: dryRun, threads: 3, other.map { bench.on($0).session } ?? bench.session)
  }

  /// As many blocks that nobody needs.
  private func litter(_ count: Int) -> [String] {
    (0..<count).map { index in
      let bytes = withUnsafeBytes(of: index) { Array($0) }
      let path = StoreLayout.imageBlock(bytes.withUnsafeBytes { BlockName(of: $0) })
      store[path] = bytes
      return path
    }
  }

  @Test func removesWhatNobodyNeeds() throws {
    let before = blocks
    _ = litter(5000)
    let dry = try collect(dryRun: true)
    #expect(dry.map(\.pool) == [.images])
    #expect(dry[0].blocks == 5004 && dry[0].removedBlocks == 5000 && dry[0].removedBytes == 40_000)
    #expect(blocks.count == 5004)
    let result = try collect()
    #expect(result == dry)
    #expect(blocks == before)
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
    #expect(try bench.restores("parrot", Self.parrot) && bench.restores("robin", Self.robin))
    #expect(try collect()[0].removedBlocks == 0)
  }

  @Test func anEmptyStoreIsFine() throws {
    let (bench, _) = Workbench.memory(clock)
    #expect(try StoreCollection.run(dryRun: false, threads: 1, bench.session) == [])
  }

  private func expectRefused(_ reason: String, _ other: (any ObjectStore)? = nil) throws {
    let before = blocks
    let result = try collect(other)
    #expect(result.map(\.isRefused) == [true])
    #expect(result[0].kept?.contains(reason) == true, "\(result[0].kept ?? "nothing was kept")")
    #expect(result[0].removedBlocks == 0)
    #expect(blocks == before)
  }

  @Test func refusesWhenNothingIsListed() throws {
    for name in ["parrot", "robin"] { store[StoreLayout.imageConfig(name)] = nil }
    try expectRefused("no image is listed")
  }

  @Test func refusesBesideABadConfig() throws {
    _ = litter(3)
    store[StoreLayout.imageConfig("robin")] = Array(#"{"Size":"#.utf8)
    try expectRefused("robin")
  }

  @Test func refusesWhenAConfigCantBeLoaded() throws {
    _ = litter(3)
    try expectRefused("on purpose", FaultyStore(store, .reading("robin/backing-image.cfg")))
  }

  @Test func refusesWhenAListingFails() throws {
    _ = litter(3)
    try expectRefused("on purpose", FaultyStore(store, .listing(StoreLayout.images)))
  }

  @Test func refusesWhenTheSetChanges() throws {
    _ = litter(3)
    let store = store
    try expectRefused(
      "changed",
      ReactingStore(store) { call in
        if case .read(StoreLayout.imageConfig("robin")) = call {
          store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512).encoded()
        }
      })
  }

  @Test func aDeadStubKeepsNothingAndALivingOneAll() throws {
    _ = litter(3)
    store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512, droverLock: "lock-live").encoded()
    let live = LockFolder(store: store, path: StoreLayout.imageLocks)
    let late = ReactingStore(store) { call in
      if case .names(StoreLayout.images) = call {
        try? live.write(LockRecord(name: "lock-live", type: 1, isAcquired: true), deadline: .never)
      }
    }
    try expectRefused("lock-live", late)
    clock.advance(151)
    #expect(try collect()[0].removedBlocks == 3)
  }

  @Test func aLostLeaseStops() throws {
    _ = litter(2)
    let late = ReactingStore(store) { [clock] call in
      if case .names(StoreLayout.images) = call { clock.advance(200) }
    }
    let before = blocks
    #expect(storeError { _ = try collect(late) }?.code == .lockLost)
    #expect(blocks == before)
  }

  @Test func aVolumesPoolIsCollectedByItself() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    let pool = StorePool.volume("macaw-vol")
    try bench.store.write(pool.block([5].withUnsafeBytes { BlockName(of: $0) }), document: [5])
    var config = try #require(try bench.store.volumeConfig("macaw-vol"))
    config.blockCount = 77
    try bench.store.write(StoreLayout.volumeConfig("macaw-vol"), document: config.encoded())
    _ = try StoreCollection.run(dryRun: true, threads: 2, bench.session)
    #expect(try bench.store.volumeConfig("macaw-vol")?.blockCount == 77)
    let result = try StoreCollection.run(dryRun: false, threads: 2, bench.session)
    #expect(result.map(\.pool) == [.images, pool])
    #expect(result.map(\.removedBlocks) == [0, 1])
    #expect(result.map(\.blocks) == [3, 5])
    #expect(result.allSatisfy { $0.kept == nil })
    #expect(try bench.store.volumeConfig("macaw-vol")?.blockCount == 4)

    try bench.store.write(pool.config(of: "backup-full1"), document: Array("rubbish".utf8))
    try bench.store.write(pool.block([5].withUnsafeBytes { BlockName(of: $0) }), document: [5])
    let doubtful = try StoreCollection.run(dryRun: false, threads: 2, bench.session)
    #expect(doubtful.map(\.isRefused) == [false, true])
    #expect(doubtful[1].removedBlocks == 0)
  }

  // MARK: An image that volumes need

  @Test func anImageThatAVolumeNeedsIsKept() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    let error = storeError { _ = try ImageDeletion.delete("parrot", bench.session) }
    #expect(error?.code == .inUse)
    #expect(error?.message.contains("macaw-vol") == true)
    #expect(try bench.store.imageConfig("parrot")?.isComplete == true)
    #expect(try bench.store.names(in: StoreLayout.imageLocks, deadline: .never) == [])
    let forced = try ImageDeletion.delete("parrot", force: true, bench.session)
    #expect(forced.existed && forced.removedBlocks == 3)
  }

  @Test func aVolumeWithoutBackupsNeedsNothing() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    let pool = StorePool.volume("macaw-vol")
    for name in ["backup-full1", "backup-delta2"] {
      try bench.store.remove(pool.config(of: name), deadline: .never)
    }
    #expect(try ImageDeletion.delete("parrot", bench.session).existed)
  }

  @Test func aVolumesConfigThatCantBeReadKeepsTheImage() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    try bench.store.write("\(StoreLayout.volume("macaw-vol"))/volume.cfg", document: Array(#"{"Name":"#.utf8))
    #expect(storeError { _ = try ImageDeletion.delete("parrot", bench.session) }?.code == .inUse)
    #expect(try ImageDeletion.delete("parrot", force: true, bench.session).existed)
  }

  @Test func aVolumesConfigThatIsGoneKeepsTheImage() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    try bench.store.remove(StoreLayout.volumeConfig("macaw-vol"), deadline: .never)
    let error = storeError { _ = try ImageDeletion.delete("parrot", bench.session) }
    #expect(error?.code == .inUse && error?.message.contains("volume.cfg") == true)
    #expect(try ImageDeletion.delete("parrot", force: true, bench.session).existed)
  }

  // MARK: Many names

  @Test func prefixesAreASet() throws {
    let names = (0..<200_000).map { index in
      withUnsafeBytes(of: (index, 77)) { BlockName(of: $0) }
    }
    var set = NamePrefixes()
    for name in names[..<150_000] { set.insert(name) }
    for name in names[..<100_000] { set.insert(name) }
    set.settle()
    #expect(set.count == 150_000)
    #expect(names[..<150_000].allSatisfy { set.contains($0) })
    #expect(!names[150_000...].contains { set.contains($0) })
    var other = NamePrefixes()
    for name in names[100_000...] { other.insert(name) }
    other.settle()
    set.subtract(other)
    #expect(set.count == 100_000)
    #expect(names[..<100_000].allSatisfy { set.contains($0) } && !names[100_000...].contains { set.contains($0) })
  }
}
