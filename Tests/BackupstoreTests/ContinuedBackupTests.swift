import LinuxSystem
import TestKit
import Testing

@testable import Backupstore

/// A backup that a later attempt goes on with, and stubs that somebody left.
@Suite struct ContinuedBackupTests {
  static let image = SourceImage.filled([1, nil, 2, 0, 3, 4, 5])

  let clock = SimulatedClock()
  let bench: Workbench
  let store: MemoryStore

  init() { (bench, store) = Workbench.memory(clock) }

  /// Writes the first `blocks` data blocks, makes a checkpoint below the next one and dies.
  private func interrupted(after blocks: Int) throws -> (token: [UInt8], offset: UInt64) {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    var part = Self.image
    part.blocks = Array(part.blocks.prefix(blocks))
    try backup.write(part)
    try backup.flush()
    let offset = Self.image.blocks[blocks]
    let token = try backup.checkpoint(offset: offset)
    // What came after the checkpoint is not counted on.
    part.blocks = [Self.image.blocks[blocks]]
    try backup.write(part)
    backup.close()
    return (token, offset)
  }

  private func goOn(_ token: [UInt8], from offset: UInt64, _ bench: Workbench? = nil) throws -> ImageBackupResult {
    let bench = bench ?? self.bench
    let backup = try ImageBackup.open(
      bench.request(Self.image, as: "parrot", checkpoint: token), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image, from: offset)
    try backup.flush()
    return try backup.commit(size: Self.image.size, checksum: Self.image.checksum)
  }

  @Test(arguments: 0...5) func goesOn(_ blocks: Int) throws {
    let (token, offset) = try interrupted(after: blocks)
    #expect(token.count < 1024)
    let hooked = HookedStore(store)
    let result = try goOn(token, from: offset, bench.on(hooked))
    #expect(result.config.blocks.map(\.offset) == Self.image.blocks)
    #expect(try bench.restores("parrot", Self.image))
    // The one block that came after the checkpoint is not known to be this job's work.
    let (whole, _) = Workbench.memory()
    let extra = try #require(store[StoreLayout.imageBlock(result.config.blocks[blocks].name)]).count
    let all = try whole.backUp(Self.image, as: "parrot").uploadedBytes
    #expect(result.uploadedBytes + UInt64(extra) == all, "counted once")
    #expect(try Folder.list(bench.jobs.path) == [])
  }

  @Test func severalTimes() throws {
    var token: [UInt8]?
    for index in Self.image.blocks.indices.dropLast() {
      clock.advance(100)
      let backup = try ImageBackup.open(
        bench.request(Self.image, as: "parrot", checkpoint: token), at: bench.target, bench.session)
      var part = Self.image
      part.blocks = [part.blocks[index]]
      try backup.write(part)
      try backup.flush()
      token = try backup.checkpoint(offset: Self.image.blocks[index + 1])
      backup.close()
    }
    let result = try goOn(token!, from: Self.image.blocks.last!)
    #expect(try bench.restores("parrot", Self.image))
    #expect(result.config.createdTime == StoreTime.text(1_800_000_000 + 1000 + 100), "the first attempt's")
  }

  @Test func aBlockCountsOnlyIfListed() throws {
    let (token, offset) = try interrupted(after: 4)
    for path in store.paths where path.hasSuffix(".blk") { store[path] = nil }
    _ = try goOn(token, from: offset)
    #expect(try bench.restores("parrot", Self.image))
  }

  @Test func aLostJournalIsMadeUpFor() throws {
    let (token, offset) = try interrupted(after: 4)
    try Folder.writeDurably(bench.jobs("backup.blocks"), [1, 2, 3])
    let result = try goOn(token, from: offset)
    // A block of zeros can't be told from a hole any more.
    #expect(result.config.blocks.map(\.offset) == Self.image.blocks.filter { $0 != 6 << 20 })
    #expect(try bench.restores("parrot", Self.image))
  }

  @Test func aSourceThatChangedIsNeverMixed() throws {
    let (token, _) = try interrupted(after: 4)
    for path in store.paths where path.hasSuffix(".blk") { store[path] = nil }
    var request = bench.request(Self.image, as: "parrot", checkpoint: token)
    request.readSource = { buffer, _ in buffer.initializeMemory(as: UInt8.self, repeating: 9) }
    let error = storeError { _ = try ImageBackup.open(request, at: bench.target, bench.session) }
    #expect(error?.code == .sourceChanged)
    let other = bench.request(.filled([1, 2]), as: "parrot", checkpoint: token)
    #expect(storeError { _ = try ImageBackup.open(other, at: bench.target, bench.session) }?.code == .sourceChanged)
    let garbage = bench.request(Self.image, as: "parrot", checkpoint: [1, 2])
    #expect(storeError { _ = try ImageBackup.open(garbage, at: bench.target, bench.session) }?.code == .sourceChanged)
  }

  /// The attempt died between its final config and its report.
  @Test func aFinishedOneIsFinished() throws {
    let (token, offset) = try interrupted(after: 4)
    let first = try goOn(token, from: offset)
    let again = try goOn(token, from: offset)
    #expect(again.config == first.config)
  }

  /// The worker was killed: its lock's file stays, and so does its stub. Nobody waits until it expires.
  @Test func aKilledAttemptHoldsUpNobody() throws {
    let killed = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    try killed.write(Self.image)
    let began = clock.bootSeconds()
    let result = try bench.backUp(Self.image, as: "parrot")
    #expect(clock.bootSeconds() - began < 5)
    #expect(result.uploadedBytes == 0)
    #expect(try bench.restores("parrot", Self.image))
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
    killed.close()
  }

  @Test func discardTakesTheStubAway() throws {
    _ = try interrupted(after: 2)
    #expect(try bench.store.imageConfig("parrot") != nil)
    try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
    #expect(try bench.store.imageConfig("parrot") == nil)
    #expect(store.paths.allSatisfy { $0.hasSuffix(".blk") })
    #expect(try Folder.list(bench.jobs.path) == [])
    try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
  }

  @Test func discardTouchesNothingOfOthers() throws {
    try bench.backUp(Self.image, as: "parrot")
    let journal = BackupJournal(folder: bench.jobs.path)
    try journal.locks.add("lock-mine", on: .images)
    try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
    #expect(try bench.restores("parrot", Self.image))
    try journal.locks.add("lock-mine", on: .images)
    for owner in ["lock-theirs", nil] {
      store[StoreLayout.imageConfig("robin")] = ImageConfig(name: "robin", size: 512, droverLock: owner).encoded()
      try ImageBackup.discard(name: "robin", jobFolder: bench.jobs.path, bench.session)
      #expect(try bench.store.imageConfig("robin") != nil)
      try journal.locks.add("lock-mine", on: .images)
    }
  }

  @Test func discardDoesNotWaitLong() throws {
    _ = try interrupted(after: 2)
    let folder = LockFolder(store: store, path: StoreLayout.imageLocks)
    try folder.write(LockRecord(name: "lock-deleting", type: 2, isAcquired: true), deadline: .never)
    let error = storeError {
      try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
    }
    #expect(error?.code == .locked && error?.retry == .transient)
    #expect(try bench.store.imageConfig("parrot") != nil, "it stays, and is dead")
    // Whoever discards it later still knows that it is the job's.
    try folder.remove("lock-deleting")
    try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
    #expect(try bench.store.imageConfig("parrot") == nil)
  }

  // MARK: Stubs that somebody left

  private func putStub(owner: String?) {
    store[StoreLayout.imageConfig("parrot")] =
      ImageConfig(name: "parrot", size: 99 * 512, createdTime: "2026-01-05T10:00:02Z", droverLock: owner).encoded()
  }

  private func putLock(_ name: String, _ type: LockType) throws {
    try LockFolder(store: store, path: StoreLayout.imageLocks)
      .write(LockRecord(name: name, type: type.rawValue, isAcquired: true), deadline: .never)
  }

  @Test func aDeadStubIsTakenOver() throws {
    putStub(owner: "lock-gone")
    try bench.backUp(Self.image, as: "parrot")
    #expect(try bench.restores("parrot", Self.image))
    #expect(bench.observer.lines.contains { $0.contains("taken over") })
  }

  /// Longhorn's stub names no lock; with no living lock for use it is dead.
  @Test func aDeadStubOfLonghornsIsTakenOver() throws {
    putStub(owner: nil)
    try putLock("lock-old", .use)
    clock.advance(151)
    try bench.backUp(Self.image, as: "parrot")
    #expect(try bench.restores("parrot", Self.image))
  }

  @Test(arguments: ["lock-live", nil]) func aLivingStubIsWaitedFor(_ owner: String?) throws {
    putStub(owner: owner)
    try putLock("lock-live", .use)
    var patient = bench
    patient.timing.poll = 1
    patient.timing.patience = 20
    let error = storeError { try patient.backUp(Self.image, as: "parrot") }
    #expect(error?.code == .locked)
    #expect(error?.retry == .transient)
    #expect(bench.observer.phases.contains("waiting for lock"))
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [StoreLayout.imageLocks + "/lock-live.lck"])
    // It ends with the other's complete backup of the same content.
    let other = Workbench.memory()
    try other.0.backUp(Self.image, as: "parrot")
    let finished = other.1.paths.map { ($0, other.1[$0]) }
    clock.after(10) { [store] in for (path, bytes) in finished { store[path] = bytes } }
    patient.timing.patience = nil
    #expect(try patient.backUp(Self.image, as: "parrot").uploadedBytes == 0)
  }

  @Test func aStubThatAnotherTookOverIsNotFinished() throws {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    for owner in ["lock-other", nil] {
      putStub(owner: owner)
      let before = store[StoreLayout.imageConfig("parrot")]
      let error = storeError { _ = try backup.commit(size: Self.image.size, checksum: nil) }
      #expect(error?.code == .lockLost)
      #expect(error?.retry == .transient)
      #expect(store[StoreLayout.imageConfig("parrot")] == before)
    }
    store[StoreLayout.imageConfig("parrot")] = nil
    #expect(storeError { _ = try backup.commit(size: Self.image.size, checksum: nil) }?.code == .lockLost)
    #expect(try bench.store.imageConfig("parrot") == nil)
  }

  @Test func theFasterWritersBackupIsTheResult() throws {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    store[StoreLayout.imageConfig("parrot")] = nil
    var other = bench
    other.jobs = TemporaryFolder("jobs")
    let theirs = try other.backUp(Self.image, as: "parrot")
    #expect(try backup.commit(size: Self.image.size, checksum: Self.image.checksum).config == theirs.config)
  }

  @Test func aLostLeaseEndsTheAttempt() throws {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    clock.advance(121)
    let error = storeError { _ = try backup.commit(size: Self.image.size, checksum: nil) }
    #expect(error?.code == .lockLost)
    #expect(try bench.store.imageConfig("parrot")?.isComplete == false)
  }
}
