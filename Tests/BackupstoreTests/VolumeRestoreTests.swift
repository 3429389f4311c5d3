import Compression
import Foundation
import OpenSSL
import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct VolumeRestoreTests {
  /// The blocks alone, as Longhorn's own library restores them into a new file. Source: README of the fixtures.
  static let restored = [
    "backup-full1":
      "d4f8b2f1b0c04b5e89317fa80e07575f96eeaafaca11917c2cbf191ba217d9c5c0315dfee6ab7508346c1df1ff0f5999eddc32b983964aed24b47dbd023217d4",
    "backup-delta2":
      "77fbf73e128e876b5c9cd9abc63d9b9109d6ce9604d50e569d95c9aca794200fec0089d306e24d71e292fbb208d39031c38ba516270a66e3a511d8ec4eb97b01",
  ]

  @Test(arguments: ["lz4", "gzip", "none"]) func restoresLonghornsVolumes(_ method: String) throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore(method, in: folder)
    #expect(try bench.store.volumeNames() == ["macaw-vol"])
    #expect(try bench.store.volumeBackupNames("macaw-vol") == ["backup-delta2", "backup-full1"])
    for (name, checksum) in Self.restored {
      let url = VolumeBackupURL(target: bench.target, volume: "macaw-vol", backup: name)
      let restore = try VolumeRestore.open(url, bench.session)
      let locks = folder("backupstore/volumes/b2/15/macaw-vol/locks")
      #expect(try FileManager.default.contentsOfDirectory(atPath: locks).count == 1)
      #expect(try restore.all().withUnsafeBytes { hexadecimal(SHA512.hash($0)) } == checksum)
      #expect(restore.volume.backingImageName == "parrot")
      #expect(restore.dataSize == UInt64(restore.backup.blocks.count) << 21)
      restore.close()
      #expect((try? FileManager.default.contentsOfDirectory(atPath: locks))?.isEmpty != false)
    }
    let delta = try VolumeRestore.open(
      VolumeBackupURL(target: bench.target, volume: "macaw-vol", backup: "backup-delta2"), bench.session)
    defer { delta.close() }
    let block: UInt64 = 2 << 20
    #expect(
      delta.extents(offset: 0, length: delta.size) == [
        StoredExtent(offset: 0, length: 2 * block, isData: true),
        StoredExtent(offset: 2 * block, length: block, isData: false),
        StoredExtent(offset: 3 * block, length: block, isData: true),
        StoredExtent(offset: 4 * block, length: block, isData: false),
        StoredExtent(offset: 5 * block, length: block, isData: true),
      ])
  }

  /// The library's answers: times, sizes, labels.
  @Test(arguments: ["lz4", "gzip", "none"], ["full1", "delta2"])
  func inspectsAsTheLibraryDoes(_ method: String, _ backup: String) throws {
    struct Expected: Decodable, Equatable {
      var Name, SnapshotName, SnapshotCreated, Created, Size, CompressionMethod, NewlyUploadedDataSize: String
      var ReUploadedDataSize, VolumeName, VolumeSize, VolumeCreated, VolumeBackingImageName: String
      var Labels: [String: String]
      var IsIncremental: Bool
    }
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore(method, in: folder)
    let answer = try JSONDecoder().decode(
      Expected.self, from: Data(fixture("expected/\(method)-vol-inspect-\(backup).json")))
    let (volume, config) = try bench.store.completeVolumeBackup(
      VolumeBackupURL(target: bench.target, volume: "macaw-vol", backup: "backup-\(backup)"))
    #expect(
      Expected(
        Name: config.name, SnapshotName: config.snapshotName, SnapshotCreated: config.snapshotCreatedAt,
        Created: config.createdTime, Size: "\(config.size)", CompressionMethod: config.effectiveMethod,
        NewlyUploadedDataSize: "\(config.newlyUploadedDataSize)", ReUploadedDataSize: "\(config.reUploadedDataSize)",
        VolumeName: volume.name, VolumeSize: "\(volume.size)", VolumeCreated: volume.createdTime,
        VolumeBackingImageName: volume.backingImageName, Labels: config.labels ?? [:],
        IsIncremental: config.isIncremental) == answer)
  }

  @Test func longBlocksOfMixedMethods() throws {
    let (bench, store) = Workbench.memory()
    let size = 16 << 20
    let volume = try VolumeStore([1, nil, 2, 1], blockSize: size, methods: CompressionMethod.allCases, in: store)
    let expected =
      VolumeStore.block(1, size) + [UInt8](repeating: 0, count: size) + VolumeStore.block(2, size)
      + VolumeStore.block(1, size)
    for cacheBytes in [0, 1] {
      let restore = try bench.open(volume, ReadOptions(cacheBytes: cacheBytes))
      #expect(restore.blockSize == UInt64(size) && restore.size == UInt64(4 * size))
      #expect(same(try restore.all(), expected))
      var piece = [UInt8](repeating: 0, count: 3 << 20)
      try piece.withUnsafeMutableBytes { try restore.read(into: $0, at: UInt64(2 * size - (1 << 20))) }
      #expect(same(piece, Array(expected[(2 * size - (1 << 20))..<(2 * size + (2 << 20))])))
      restore.close()
    }
  }

  @Test func refusals() throws {
    let (bench, store) = Workbench.memory()
    var volume = try VolumeStore([1, 2], in: store)
    func code(_ name: String = "vol-demo", _ backup: String? = "backup-1") -> StoreError.Code? {
      storeError {
        let url = VolumeBackupURL(target: bench.target, volume: name, backup: backup)
        try VolumeRestore.open(url, bench.session).close()
      }?.code
    }
    #expect(code() == nil)
    #expect(code("vol-none") == .notFound)
    #expect(code("vol-demo", "backup-none") == .notFound)
    #expect(code("vol-demo", nil) == .invalid)
    let good = volume
    volume.backup.createdTime = ""
    try volume.write(to: store)
    #expect(code() == .unfinishedBackup)
    volume = good
    volume.backup.singleFile = "backupstore/volumes/x.bak"
    try volume.write(to: store)
    #expect(code() == .notSupported)
    volume = good
    // Its blocks lie beyond the end; it is nothing; it is no whole number of blocks.
    for size in [2 << 20, 0, 3 << 20, 1 << 62 as UInt64] {
      volume.volume.size = size
      try volume.write(to: store)
      #expect(code() == (size == 1 << 62 ? nil : .badConfig), "\(size)")
    }
    #expect(store.paths.allSatisfy { !$0.hasSuffix(".lck") }, "no lock is left")
  }

  @Test func foreignNamesAreNotListed() throws {
    let (bench, store) = Workbench.memory()
    _ = try VolumeStore([1], in: store)
    let place = StoreLayout.volume("vol-demo")
    for path in [
      "backupstore/volumes/00/00/elsewhere/volume.cfg", "backupstore/volumes/zz/00/vol/volume.cfg",
      "backupstore/volumes/22/fc/BACKINGIMAGE/locks/lock-1.lck", "\(place)/backups/backup_x.cfg",
      "\(place)/backups/backup_...cfg.tmp.1", "\(place)/backups/other.cfg", "\(place)/backups/backup_ok-1.cfg.tmp.5",
      "\(place)/backups/backup_..%2f.cfg",
    ] {
      store[path] = [1]
    }
    #expect(try bench.store.volumeNames() == ["vol-demo"])
    #expect(try bench.store.volumeBackupNames("vol-demo") == ["backup-1"])
  }

  /// A block that is garbage, cut, empty, a bomb, or gone: an error that names it, or a loss that is told once.
  @Test(arguments: [0, 64 << 20]) func damage(_ cacheBytes: Int) throws {
    let (bench, store) = Workbench.memory()
    let volume = try VolumeStore([1, 2, nil, 3], in: store)
    let path = volume.path(volume.backup.blocks[1].name)
    let good = try #require(store[path])
    let bomb = {
      let codec = BlockCodec(maximumBlock: 256 << 20)
      let zeros = [UInt8](repeating: 0, count: 256 << 20)
      return zeros.withUnsafeBytes { Array(codec.pack($0, .gzip)) }
    }()
    for (bytes, code) in [
      (Array(repeating: 7, count: 100), .badBlock), (Array(good.dropLast(10)), .badBlock), ([], .badBlock),
      (bomb, .badBlock), (Array(repeating: 1, count: 5 << 20), .badBlock), (nil, .missingBlock),
    ] as [([UInt8]?, StoreError.Code)] {
      store[path] = bytes
      let strict = try bench.open(volume, ReadOptions(cacheBytes: cacheBytes))
      let error = storeError { _ = try strict.all() }
      #expect(error?.code == code)
      #expect(error?.message.contains("\(volume.backup.blocks[1].name)") == true)
      #expect(error?.message.contains("volume vol-demo") == true)
      strict.close()

      let losses = Mutex<[Loss]>([])
      let lenient = try bench.open(
        volume, ReadOptions(onLoss: { loss in losses.withLock { $0.append(loss) } }, cacheBytes: cacheBytes))
      let block = 2 << 20
      let expected =
        VolumeStore.block(1, block) + [UInt8](repeating: 0, count: 2 * block) + VolumeStore.block(3, block)
      #expect(same(try lenient.all(), expected))
      #expect(same(try lenient.all(), expected))
      lenient.close()
      #expect(
        losses.withLock(\.self) == [
          Loss(
            offset: UInt64(block), length: UInt64(block), block: "\(volume.backup.blocks[1].name)",
            reason: code == .missingBlock ? "missing" : "bad")
        ])
    }
  }

  /// What can't be reached is no loss, whatever is asked for.
  @Test func aStoreThatFailsIsNoLoss() throws {
    let (bench, store) = Workbench.memory()
    let volume = try VolumeStore([1, 2], in: store)
    let faulty = FailingReads(store)
    let restore = try bench.on(faulty).open(
      volume, ReadOptions(onLoss: { Issue.record("\($0)") }, cacheBytes: 8 << 20))
    defer { restore.close() }
    faulty.isFailing.store(true, ordering: .relaxed)
    #expect(storeError { _ = try restore.all() }?.code == .network)
    faulty.isFailing.store(false, ordering: .relaxed)
    #expect(try restore.all().count == 4 << 20)
  }

  /// Many threads, few places, and every byte right.
  @Test func theCacheUnderLoad() throws {
    let (bench, store) = Workbench.memory()
    let count = 24
    let volume = try VolumeStore((0..<count).map { $0 % 5 == 4 ? nil : UInt8($0) }, blockSize: 64 << 10, in: store)
    let counting = FailingReads(store)
    let restore = try bench.on(counting).open(volume, ReadOptions(cacheBytes: 6 * (64 << 10)))
    let expected = (0..<count).flatMap {
      $0 % 5 == 4 ? [UInt8](repeating: 0, count: 64 << 10) : VolumeStore.block(UInt8($0), 64 << 10)
    }
    let wrong = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      var random = SplitMix(seed: UInt64(thread))
      for round in 0..<60 {
        let offset = thread < 4 ? round * 20_000 : Int(random.next() % UInt64(expected.count - 70_000))
        let length = 1 + Int(random.next() % 70_000)
        var piece = [UInt8](repeating: 0xee, count: min(length, expected.count - offset))
        do { try piece.withUnsafeMutableBytes { try restore.read(into: $0, at: UInt64(offset)) } } catch {
          wrong.add(1, ordering: .relaxed)
        }
        if !same(piece, Array(expected[offset..<(offset + piece.count)])) { wrong.add(1, ordering: .relaxed) }
      }
    }
    restore.close()
    #expect(wrong.load(ordering: .relaxed) == 0)
  }

  @Test func theCacheReadsEachBlockOnce() throws {
    let (bench, store) = Workbench.memory()
    let volume = try VolumeStore((1...12).map { UInt8($0) }, blockSize: 64 << 10, in: store)
    let counting = FailingReads(store)
    let restore = try bench.on(counting).open(volume, ReadOptions(cacheBytes: 16 * (64 << 10)))
    var piece = [UInt8](repeating: 0, count: 4096)
    for offset in stride(from: 0, to: Int(restore.size), by: 4096) {
      try piece.withUnsafeMutableBytes { try restore.read(into: $0, at: UInt64(offset)) }
    }
    restore.close()
    #expect(counting.blockReads.load(ordering: .relaxed) == 12)
  }
}

/// Reads of blocks fail while the test wants it, and are counted.
private final class FailingReads: ObjectStore {
  let isFailing = Atomic(false)
  let blockReads = Atomic(0)
  private let inner: any ObjectStore

  init(_ inner: any ObjectStore) { self.inner = inner }

  var url: String { inner.url }

  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    try inner.status(of: path, deadline: deadline)
  }

  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    try inner.names(in: folder, deadline: deadline)
  }

  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try inner.visit(folder, depth: depth, deadline: deadline, enter: enter, visit: visit)
  }

  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int? {
    if path.hasSuffix(".blk") { blockReads.add(1, ordering: .relaxed) }
    if isFailing.load(ordering: .relaxed) { throw StoreError(.network, "the line is cut") }
    return try inner.read(path, into: buffer, deadline: deadline)
  }

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    try inner.write(path, bytes, deadline: deadline)
  }

  func sync(deadline: Deadline) throws(StoreError) { try inner.sync(deadline: deadline) }
  func remove(_ path: String, deadline: Deadline) throws(StoreError) { try inner.remove(path, deadline: deadline) }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
