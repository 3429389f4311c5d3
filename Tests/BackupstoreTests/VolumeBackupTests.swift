import Compression
import Foundation
import OpenSSL
import StageKit
import TestKit
import Testing

@testable import BackupStage
@testable import Backupstore

/// Backups of volumes as Drover makes them, read by what reads Longhorn's.
@Suite struct VolumeBackupTests {
  static let block = 2 << 20

  /// What a snapshot of a volume holds, and which of its blocks are given to a backup.
  struct Disk: Sendable {
    var bytes: [UInt8]
    var given: [Int]
    var blockSize = VolumeBackupTests.block

    /// Each block is filled with its byte; nil is left to what lies below, which is nothing.
    init(_ values: [UInt8?], blockSize: Int = VolumeBackupTests.block) {
      self.blockSize = blockSize
      bytes = values.flatMap { value in
        value.map { VolumeStore.block($0, blockSize) } ?? [UInt8](repeating: 0, count: blockSize)
      }
      given = values.indices.filter { values[$0] != nil }
    }

    /// The next snapshot: with these blocks changed, of which alone it is told.
    func changing(_ changes: [Int: UInt8]) -> Disk {
      var other = self
      for (index, value) in changes {
        other.bytes.replaceSubrange(
          index * blockSize..<(index + 1) * blockSize, with: VolumeStore.block(value, blockSize))
      }
      other.given = changes.keys.sorted()
      return other
    }

    var size: UInt64 { UInt64(bytes.count) }
    func range(_ index: Int) -> Range<Int> { index * blockSize..<(index + 1) * blockSize }
  }

  static let first = Disk([1, nil, 2, 1, nil, 3])
  static let second = first.changing([1: 4, 2: 5])

  private func request(
    _ disk: Disk, _ bench: Workbench, name: String, snapshot: String,
    base: (String, String)? = nil, _ change: (inout VolumeBackupRequest) -> Void = { _ in }
  ) -> VolumeBackupRequest {
    var request = VolumeBackupRequest(
      name: name, volume: "vol-demo", size: disk.size, snapshot: snapshot,
      base: base.map { .init(backup: $0.0, snapshot: $0.1) }, blockSize: UInt64(disk.blockSize), labels: ["k": "v"],
      jobFolder: bench.jobs.path,
      readSource: { buffer, offset in
        buffer.copyBytes(from: disk.bytes[Int(offset)..<(Int(offset) + buffer.count)])
      })
    change(&request)
    return request
  }

  @discardableResult
  private func backUp(_ disk: Disk, _ request: VolumeBackupRequest, _ bench: Workbench) throws -> VolumeBackupResult {
    let backup = try VolumeBackup.open(request, at: bench.target, bench.session)
    defer { backup.close() }
    for index in disk.given {
      try disk.bytes.withUnsafeBytes {
        try backup.write(
          UnsafeRawBufferPointer(rebasing: $0[disk.range(index)]), at: UInt64(disk.range(index).lowerBound))
      }
    }
    try backup.flush()
    return try backup.commit(size: disk.size)
  }

  private func restored(_ name: String, _ bench: Workbench, volume: String = "vol-demo") throws -> [UInt8] {
    let restore = try VolumeRestore.open(
      VolumeBackupURL(target: bench.target, volume: volume, backup: name), bench.session)
    defer { restore.close() }
    return try restore.all()
  }

  private func volume(_ store: any ObjectStore) throws -> VolumeConfig {
    try #require(try store.volumeConfig("vol-demo"))
  }

  private func blocks(_ store: MemoryStore) -> Int { store.paths.filter { $0.hasSuffix(".blk") }.count }

  @Test(arguments: CompressionMethod.allCases) func aFirstAndAnIncrementalOne(_ method: CompressionMethod) throws {
    let (bench, store) = Workbench.memory()
    let one = try backUp(
      Self.first, request(Self.first, bench, name: "b1", snapshot: "s1") { $0.method = method }, bench)
    #expect(one.url.description == "file:///memory?backup=b1&volume=vol-demo")
    #expect(one.config.blocks.map(\.offset) == [0, 2, 3, 5].map { UInt64($0 * Self.block) })
    #expect(!one.config.isIncremental && one.config.size == UInt64(4 * Self.block))
    #expect(one.config.parameters == ["backup-mode": "incremental", "backup-block-size": "2097152"])
    #expect(one.config.newlyUploadedDataSize > 0 && one.config.reUploadedDataSize == 0)
    #expect(blocks(store) == 3, "equal blocks are stored once")
    #expect(one.volume.blockCount == 3 && one.volume.lastBackupName == "b1" && one.volume.dataEngine == "v1")

    // The method of the first one is that of all.
    let two = try backUp(
      Self.second,
      request(Self.second, bench, name: "b2", snapshot: "s2", base: ("b1", "s1")) { $0.method = .none }, bench)
    #expect(two.config.isIncremental && two.config.compressionMethod == method.rawValue)
    #expect(two.config.blocks.map(\.offset) == [0, 1, 2, 3, 5].map { UInt64($0 * Self.block) })
    #expect(blocks(store) == 5)
    let config = try volume(store)
    #expect(config.lastBackupName == "b2" && config.lastBackupAt == two.config.snapshotCreatedAt)
    #expect(config.blockCount == 5 && config.createdTime == one.volume.createdTime && config.labels == ["k": "v"])
    #expect(store.paths.filter { $0.hasSuffix(".lck") || $0.contains(".tmp.") } == [])

    #expect(same(try restored("b1", bench), Self.first.bytes))
    #expect(same(try restored("b2", bench), Self.second.bytes))
    // The one that was built upon may go: the lists are whole.
    let deletion = try VolumeBackupDeletion.delete("b1", of: "vol-demo", bench.session)
    #expect(deletion.removedBlocks == 1 && deletion.kept == nil)
    #expect(same(try restored("b2", bench), Self.second.bytes))
    #expect(try volume(store).blockCount == 4)
  }

  /// Longhorn's own library made the same two backups of the same volume: what lies in the store is the same, but for
  /// times and for what counts packed bytes.
  @Test(arguments: ["lz4", "gzip", "none"]) func whatLonghornWouldWrite(_ method: String) throws {
    let folder = TemporaryFolder("store")
    let origin = try fixtureStore(method, in: folder)
    let (bench, store) = Workbench.memory()
    let volume = try #require(try origin.store.volumeConfig("macaw-vol"))
    var last: (String, String)?
    for (name, given) in [("backup-full1", [1, 3, 5]), ("backup-delta2", [0, 3])] {
      let theirs = try #require(try origin.store.volumeBackupConfig(name, of: "macaw-vol"))
      var disk = Disk([nil])
      disk.bytes = try restored(name, origin, volume: "macaw-vol")
      disk.given = given
      let wanted = request(disk, bench, name: name, snapshot: theirs.snapshotName, base: last) {
        $0.volume = "macaw-vol"
        $0.labels = ["team": "birds"]
        $0.method = CompressionMethod(rawValue: method)!
        $0.backingImage = "parrot"
        $0.backingImageChecksum = volume.backingImageChecksum
      }
      try backUp(disk, wanted, bench)
      last = (name, theirs.snapshotName)
      var ours = try #require(try store.volumeBackupConfig(name, of: "macaw-vol"))
      #expect(ours.parameters?["backup-block-size"] == "2097152")
      #expect(ours.newlyUploadedDataSize > 0)
      (ours.snapshotCreatedAt, ours.createdTime) = (theirs.snapshotCreatedAt, theirs.createdTime)
      (ours.newlyUploadedDataSize, ours.parameters) = (theirs.newlyUploadedDataSize, theirs.parameters)
      #expect(ours == theirs)
      // What is left to process is internal, and never told.
      let text = String(
        decoding: try fixture("\(method)/\(StoreLayout.volumeBackup(name, of: "macaw-vol"))"), as: UTF8.self)
      #expect(
        String(decoding: ours.encoded(), as: UTF8.self)
          == text.replacingOccurrences(of: #""ProcessingBlocks":{}"#, with: #""ProcessingBlocks":null"#))
    }
    var ours = try #require(try store.volumeConfig("macaw-vol"))
    #expect(ours.lastBackupName == volume.lastBackupName && ours.blockCount == volume.blockCount)
    (ours.createdTime, ours.lastBackupAt, ours.storageClassName) = (
      volume.createdTime, volume.lastBackupAt, volume.storageClassName
    )
    #expect(try ours.encoded() == fixture("\(method)/\(StoreLayout.volumeConfig("macaw-vol"))"))
    let paths = { (store: any ObjectStore) -> Set<String> in
      var found: Set<String> = []
      try store.visitBlocks(of: .volume("macaw-vol"), observer: bench.observer) { found.insert("\($0)") }
      return found
    }
    #expect(try paths(store) == paths(origin.store))
  }

  /// A volume that Longhorn has backed up goes on here.
  @Test func uponOneOfLonghorns() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("gzip", in: folder)
    let volume = try #require(try bench.store.volumeConfig("macaw-vol"))
    var disk = Disk([nil])
    disk.bytes = try restored("backup-delta2", bench, volume: "macaw-vol")
    disk = disk.changing([4: 9])
    let wanted = request(disk, bench, name: "b3", snapshot: "snap-3", base: ("backup-delta2", "snap-2")) {
      $0.volume = "macaw-vol"
      $0.backingImage = "parrot"
      $0.backingImageChecksum = volume.backingImageChecksum
    }
    let result = try backUp(disk, wanted, bench)
    #expect(result.config.isIncremental && result.config.compressionMethod == "gzip")
    #expect(result.config.blocks.count == 5)
    #expect(result.volume.storageClassName == "longhorn-parrot" && result.volume.lastBackupName == "b3")
    #expect(same(try restored("b3", bench, volume: "macaw-vol"), disk.bytes))
    for (name, checksum) in VolumeRestoreTests.restored {
      #expect(
        try restored(name, bench, volume: "macaw-vol").withUnsafeBytes { hexadecimal(SHA512.hash($0)) } == checksum)
    }
  }

  @Test func longBlocks() throws {
    let (bench, _) = Workbench.memory()
    let disk = Disk([1, nil, 2], blockSize: 16 << 20)
    let result = try backUp(disk, request(disk, bench, name: "b1", snapshot: "s1"), bench)
    #expect(result.config.parameters?["backup-block-size"] == "16777216" && result.config.size == 32 << 20)
    #expect(same(try restored("b1", bench), disk.bytes))
  }

  /// Zeros that the volume holds hide what lies below.
  @Test func zerosAreBlocks() throws {
    let (bench, store) = Workbench.memory()
    let disk = Disk([1, nil, nil, nil])
    let backup = try VolumeBackup.open(
      request(disk, bench, name: "b1", snapshot: "s1"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.zero(offset: UInt64(Self.block), length: UInt64(2 * Self.block))
    let result = try backup.commit(size: disk.size)
    #expect(result.config.blocks.map(\.offset) == [1, 2].map { UInt64($0 * Self.block) })
    #expect(
      Set(result.config.blocks.map { "\($0.name)" })
        == ["731859029215873fdac1c9f2f8bd25a334abf0f3a9e1b057cf2cacc2826d86b0"])
    #expect(blocks(store) == 1)
  }

  /// The presence of a block's file is no proof of its content.
  @Test func aFullOneWritesAgainWhatIsThere() throws {
    let (bench, store) = Workbench.memory()
    let one = try backUp(Self.first, request(Self.first, bench, name: "b1", snapshot: "s1"), bench)
    let damaged = StorePool.volume("vol-demo").block(one.config.blocks[1].name)
    store[damaged] = Array("garbage".utf8)
    #expect(throws: StoreError.self) { _ = try restored("b1", bench) }
    let all = Disk([1, 4, 5, 1, nil, 3])
    let two = try backUp(
      all, request(all, bench, name: "b2", snapshot: "s2") { $0.rewrites = true }, bench)
    #expect(!two.config.isIncremental && two.config.parameters?["backup-mode"] == "full")
    #expect(two.config.reUploadedDataSize > 0 && two.config.newlyUploadedDataSize > 0)
    #expect(two.volume.blockCount == 5)
    #expect(same(try restored("b2", bench), all.bytes))
    let three = try backUp(
      Self.first, request(Self.first, bench, name: "b3", snapshot: "s1") { $0.rewrites = true }, bench)
    #expect(three.config.newlyUploadedDataSize == 0 && three.volume.blockCount == 5)
    #expect(same(try restored("b1", bench), Self.first.bytes), "mended")
  }

  @Test func aLostBlockOfTheBaseIsBroughtBack() throws {
    let (bench, store) = Workbench.memory()
    let one = try backUp(Self.first, request(Self.first, bench, name: "b1", snapshot: "s1"), bench)
    let kept = StorePool.volume("vol-demo").block(one.config.blocks[0].name)
    store[kept] = nil
    try backUp(Self.second, request(Self.second, bench, name: "b2", snapshot: "s2", base: ("b1", "s1")), bench)
    #expect(same(try restored("b2", bench), Self.second.bytes))
    #expect(same(try restored("b1", bench), Self.first.bytes))

    // Where the volume has something else there, it is not what it was taken for.
    store[kept] = nil
    let third = Self.second.changing([4: 7])
    var lying = third
    lying.bytes.replaceSubrange(third.range(0), with: VolumeStore.block(99, Self.block))
    let error = storeError {
      try backUp(lying, request(lying, bench, name: "b3", snapshot: "s3", base: ("b2", "s2")), bench)
    }
    #expect(error?.code == .baseUnusable && error?.retry == .transient)
    #expect(try store.volumeBackupConfig("b3", of: "vol-demo")?.isComplete == false)
    #expect(try volume(store).lastBackupName == "b2")
  }

  @Test func whatCanNotBeBuiltUpon() throws {
    let (bench, store) = Workbench.memory()
    func code(_ base: (String, String), _ change: (inout VolumeBackupRequest) -> Void = { _ in }) -> StoreError.Code? {
      storeError {
        try backUp(
          Self.second, request(Self.second, bench, name: "bx", snapshot: "sx", base: base, change), bench)
      }?.code
    }
    #expect(code(("b1", "s1")) == .baseUnusable, "no volume yet")
    try backUp(Self.first, request(Self.first, bench, name: "b1", snapshot: "s1"), bench)
    #expect(code(("b1", "s0")) == .baseUnusable)
    #expect(code(("b0", "s1")) == .baseUnusable)
    let wide = Disk([1, 1], blockSize: 16 << 20)
    #expect(
      storeError {
        try backUp(wide, request(wide, bench, name: "bx", snapshot: "sx", base: ("b1", "s1")), bench)
      }?.code == .baseUnusable)
    let path = StoreLayout.volumeBackup("b1", of: "vol-demo")
    let good = store[path]
    store[path] = Array("{".utf8)
    #expect(code(("b1", "s1")) == .baseUnusable)
    store[path] = nil
    #expect(code(("b1", "s1")) == .baseUnusable)
    store[path] = good
    #expect(try store.volumeBackupConfig("bx", of: "vol-demo") == nil, "nothing was begun")
    #expect(code(("b1", "s1")) == nil)
    #expect(code(("b1", "s1")) { $0.name = "by" } == .baseUnusable, "it is not the last one any more")
  }

  @Test func anotherVolumeOfThatName() throws {
    let (bench, store) = Workbench.memory()
    func code(_ disk: Disk = Self.first, _ change: (inout VolumeBackupRequest) -> Void) -> StoreError.Code? {
      storeError { try backUp(disk, request(disk, bench, name: "bx", snapshot: "sx", change), bench) }?.code
    }
    let sums = (String(repeating: "a", count: 128), String(repeating: "b", count: 128))
    let made = request(Self.first, bench, name: "b1", snapshot: "s1") {
      ($0.backingImage, $0.backingImageChecksum) = ("parrot", sums.0)
    }
    try backUp(Self.first, made, bench)
    let before = store.paths
    #expect(code { _ in } == .contentConflict)
    #expect(code { $0.backingImage = "robin" } == .contentConflict)
    #expect(code { ($0.backingImage, $0.backingImageChecksum) = ("parrot", sums.1) } == .contentConflict)
    let short = Disk([1])
    #expect(code(short) { ($0.backingImage, $0.backingImageChecksum) = ("parrot", sums.0) } == .contentConflict)
    var other = bench
    other.jobs = TemporaryFolder("other")
    let again = request(Self.first, other, name: "b1", snapshot: "s1") {
      ($0.backingImage, $0.backingImageChecksum) = ("parrot", sums.0)
    }
    #expect(
      storeError { try backUp(Self.first, again, other) }?.code == .contentConflict, "the backup's name is taken")
    #expect(store.paths == before)
    #expect(code { $0.backingImage = "parrot" } == nil, "nobody knows better")
    #expect(try volume(store).backingImageChecksum == sums.0)
  }

  @Test func whatIsNoRequest() throws {
    let (bench, store) = Workbench.memory()
    for change in [
      { $0.name = "../b" }, { $0.volume = "a/b" }, { $0.snapshot = "" }, { $0.backingImage = "a b" }, { $0.size = 0 },
      { $0.size += 512 }, { $0.blockSize = 4096 }, { $0.backingImageChecksum = "abc" },
      {
        $0.rewrites = true
        $0.base = .init(backup: "b0", snapshot: "s0")
      },
    ] as [(inout VolumeBackupRequest) -> Void] {
      let wanted = request(Self.first, bench, name: "b1", snapshot: "s1", change)
      let code = storeError { _ = try VolumeBackup.open(wanted, at: bench.target, bench.session) }?.code
      #expect(code == .invalid || code == .badSize)
    }
    #expect(store.paths == [])
    let backup = try VolumeBackup.open(
      request(Self.first, bench, name: "b1", snapshot: "s1"), at: bench.target, bench.session)
    defer { backup.close() }
    let bytes = [UInt8](repeating: 0, count: 512)
    #expect(storeError { try bytes.withUnsafeBytes { try backup.write($0, at: 0) } }?.code == .invalid)
    #expect(storeError { try backup.zero(offset: 512, length: UInt64(Self.block)) }?.code == .invalid)
    #expect(storeError { try backup.zero(offset: 0, length: Self.first.size + UInt64(Self.block)) }?.code == .invalid)
    #expect(storeError { _ = try backup.commit(size: 5) }?.code == .badSize)
  }

  @Test func theStubIsNoBackupAndNobodyElsesIsTaken() throws {
    let clock = SimulatedClock()
    let (bench, store) = Workbench.memory(clock)
    let backup = try VolumeBackup.open(
      request(Self.first, bench, name: "b1", snapshot: "s1"), at: bench.target, bench.session)
    let stub = try #require(try store.volumeBackupConfig("b1", of: "vol-demo"))
    #expect(!stub.isComplete && stub.droverLock == backup.lock.name && stub.snapshotName == "")
    #expect(storeError { _ = try restored("b1", bench) }?.code == .unfinishedBackup)
    var other = bench
    other.jobs = TemporaryFolder("other")
    #expect(
      storeError {
        try backUp(Self.first, request(Self.first, other, name: "b1", snapshot: "s1"), other)
      }?.code == .locked)
    backup.close()
    try VolumeBackup.discard(name: "b1", of: "vol-demo", jobFolder: other.jobs.path, other.session)
    #expect(try store.volumeBackupConfig("b1", of: "vol-demo") != nil, "another job's")
    try VolumeBackup.discard(name: "b1", of: "vol-demo", jobFolder: bench.jobs.path, bench.session)
    #expect(try store.volumeBackupConfig("b1", of: "vol-demo") == nil)
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
  }

  enum Kind: CaseIterable, Sendable {
    case call, lostAnswer, death
    func fault(_ nth: Int) -> FaultyStore.Fault {
      switch self {
      case .call: .call(nth)
      case .lostAnswer: .lostAnswer(nth)
      case .death: .death(afterWrites: nth)
      }
    }
  }

  /// Whatever fails at whatever place, what was there can be restored, and the next attempt makes the backup whole.
  @Test(arguments: Kind.allCases) func atEachPlace(_ kind: Kind) throws {
    let origin = Workbench.memory()
    try backUp(Self.first, request(Self.first, origin.0, name: "b1", snapshot: "s1"), origin.0)
    var nth = kind == .death ? 0 : 1
    var failures = 0
    while true {
      let clock = SimulatedClock()
      let (bench, store) = Workbench.memory(clock)
      for path in origin.1.paths { store[path] = origin.1[path] }
      func attempt(_ bench: Workbench) throws {
        try backUp(
          Self.second, request(Self.second, bench, name: "b2", snapshot: "s2", base: ("b1", "s1")), bench)
      }
      let failed = storeError { try attempt(bench.on(FaultyStore(store, kind.fault(nth)))) } != nil
      if failed { failures += 1 }
      #expect(same(try restored("b1", bench), Self.first.bytes), "\(kind) \(nth)")
      let isThere = try store.volumeBackupConfig("b2", of: "vol-demo")?.isComplete == true
      if isThere { #expect(same(try restored("b2", bench), Self.second.bytes), "\(kind) \(nth)") }
      // The lock that the dead one left has expired by now.
      clock.advance(151)
      if failed { try attempt(bench) }
      #expect(same(try restored("b2", bench), Self.second.bytes), "\(kind) \(nth)")
      let config = try volume(store)
      #expect(config.lastBackupName == "b2", "\(kind) \(nth)")
      #expect(store.paths.filter { $0.hasSuffix(".lck") || $0.contains(".tmp.") } == [], "\(kind) \(nth)")
      if !failed, nth > 3, kind != .lostAnswer || nth > 12 { break }
      nth += 1
      try #require(nth < 200)
    }
    #expect(failures > 4, "only \(failures) places of \(kind)")
  }

  /// Died between the backup's own config and the volume's: the next attempt only tells the volume.
  @Test func theLastStepIsDoneLater() throws {
    let (bench, store) = Workbench.memory()
    try backUp(Self.first, request(Self.first, bench, name: "b1", snapshot: "s1"), bench)
    let before = store[StoreLayout.volumeConfig("vol-demo")]
    let wanted = request(Self.second, bench, name: "b2", snapshot: "s2", base: ("b1", "s1"))
    try backUp(Self.second, wanted, bench)
    store[StoreLayout.volumeConfig("vol-demo")] = before
    // As its folder has it after a death.
    try LockJournal(path: "\(bench.jobs.path)/backup.locks", keepsReleased: true).add(
      "lock-0123456789abcdef", on: .volume("vol-demo"))
    let writes = HookedStore(store)
    let again = try backUp(Self.second, wanted, bench.on(writes))
    #expect(again.config.isIncremental && again.volume.lastBackupName == "b2")
    #expect(same(try restored("b2", bench), Self.second.bytes))
  }
}

/// The same as the runner uses it.
@Suite struct VolumeBackupStageTests {
  let folder = TemporaryFolder("store")
  let job = TemporaryFolder("job")
  let host = StageTests.TestHost()

  final class Source: Device {
    func info() -> DeviceInfo { DeviceInfo(size: 4 << 20, blockMin: 4096) }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
      buffer.initializeMemory(as: UInt8.self, repeating: 7)
      return buffer.count
    }
  }

  private func request(_ more: [String: Any]) throws -> OpenRequest {
    let params: [String: Any] = ["target": "file://\(folder.path)", "name": "b1", "volume": "vol1", "snapshot": "s1"]
    let data = try JSONSerialization.data(withJSONObject: params.merging(more) { $1 })
    return OpenRequest(
      role: .sink, writable: true, params: String(decoding: data, as: UTF8.self), job: "job", jobFolder: job.path,
      source: Source())
  }

  @Test func whatItTellsOfItself() throws {
    try BackupStage.$timing.withValue(.brisk) {
      let device = try BackupStage.open(try request(["labels": ["k": "v"], "blockSize": 2 << 20]), host: host)
      defer { device.close() }
      let info = try device.info()
      #expect(info.flags.contains(.takesAbsent) && info.size == 4 << 20 && info.blockMin == 2 << 20)
      let bytes = [UInt8](repeating: 7, count: 2 << 20)
      try bytes.withUnsafeBytes { try device.write($0, at: 2 << 20) }
      try device.flush()
      try device.commit(Commit(size: 4 << 20))
      let result = try host.record("result")
      #expect(result["url"] as? String == "file://\(folder.path)?backup=b1&volume=vol1")
      #expect(result["state"] as? String == "Completed" && result["snapshotName"] as? String == "s1")
      #expect(result["backupSize"] as? Int == 2 << 20 && result["volumeSize"] as? Int == 4 << 20)
      #expect(result["blockSize"] as? Int == 2 << 20 && result["isIncremental"] as? Bool == false)
      #expect(result["snapshotCreatedAt"] is String && result["backupCreatedAt"] is String)
    }
  }

  @Test(
    arguments: [
      ["snapshot": ""], ["base": "b0"], ["mode": "half"], ["volume": "../v"], ["blockSize": 4096],
      ["volume": "", "mode": "full"], ["compression": "zip"], ["name": "a/b"],
    ] as [[String: any Sendable]])
  func badParametersAreNamed(_ more: [String: any Sendable]) throws {
    let request = try request(more)
    #expect(throws: (any Error).self) {
      try BackupStage.$timing.withValue(.brisk) { _ = try BackupStage.open(request, host: host) }
    }
    let left = FileManager.default.subpaths(atPath: folder.path)?.filter {
      $0.hasSuffix(".cfg") || $0.hasSuffix(".lck")
    }
    #expect(left == [])
  }
}
