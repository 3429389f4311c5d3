import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

/// What is done before a lock is held. Time stands still until a test lets the lock settle.
@Suite struct PendingLockTests {
  static let image = SourceImage.filled([1, 2, nil, 3, 9])

  private let clock = HeldClock()
  private let store = MemoryStore(clock: SimulatedClock())
  private let bench: Workbench
  /// On the same store, with nothing to settle.
  private let others: Workbench

  init() {
    others = Workbench(store: store)
    var bench = Workbench(store: store, clock: clock)
    bench.timing.settle = 1
    self.bench = bench
  }

  private var locks: [String] { store.paths.filter { $0.hasSuffix(".lck") } }
  private var url: ImageBackupURL { ImageBackupURL(target: bench.target, name: "parrot") }
  private func block(_ index: Int) throws -> String {
    let name = try #require(others.store.imageConfig("parrot")?.blocks[index].name)
    return StoreLayout.imageBlock(name)
  }

  @Test func aRestoreDoesNotWait() throws {
    try others.backUp(Self.image, as: "parrot")
    let restore = try ImageRestore.open(url, bench.session)
    #expect(try restore.all() == Self.image.bytes)
    #expect(locks.count == 1)
    restore.close()
    #expect(locks == [])
  }

  /// The session of a restore; `action` comes after the block was asked for, and before the lock is held.
  private func session(after block: String, _ action: @escaping @Sendable () -> Void) -> StoreSession {
    let wasRead = Atomic(false)
    clock.whenAsked { [clock] in
      guard wasRead.load(ordering: .acquiring) else { return false }
      action()
      clock.go()
      return true
    }
    let reacting = ReactingStore(store) { call in
      if case .read(block) = call { wasRead.store(true, ordering: .releasing) }
    }
    return bench.on(reacting).session
  }

  @Test func aRestoreBelievesAMissingBlockOnlyUnderTheLock() throws {
    try others.backUp(Self.image, as: "parrot")
    let missing = try block(1)
    let bytes = store[missing]
    store[missing] = nil
    let restore = try ImageRestore.open(url, session(after: missing) { [store] in store[missing] = bytes })
    defer { restore.close() }
    #expect(try restore.all() == Self.image.bytes)
    store[missing] = nil
    #expect(storeError { _ = try restore.all() }?.code == .missingBlock)
  }

  @Test func aBlockThatStaysAwayIsMissing() throws {
    try others.backUp(Self.image, as: "parrot")
    let missing = try block(1)
    store[missing] = nil
    let restore = try ImageRestore.open(url, session(after: missing) {})
    defer { restore.close() }
    #expect(storeError { _ = try restore.all() }?.code == .missingBlock)
  }

  @Test func aBackupThatWasReplacedIsNoDamage() throws {
    let config = StoreLayout.imageConfig("parrot")
    try others.backUp(SourceImage.filled([5, nil, nil, nil, 9]), as: "parrot")
    let replacement = store[config]
    _ = try ImageDeletion.delete("parrot", others.session)
    try others.backUp(Self.image, as: "parrot")
    let missing = try block(1)
    store[missing] = nil
    let restore = try ImageRestore.open(url, session(after: missing) { [store] in store[config] = replacement })
    defer { restore.close() }
    let error = storeError { _ = try restore.all() }
    #expect(error?.code == .sourceChanged)
    #expect(error?.retry == .transient)
  }

  /// Whatever was removed of what a backup wrote or saw before its lock was held, it brings again.
  @Test(arguments: 0..<4) func aBackupCountsNoBlockFromBeforeItsLock(_ index: Int) throws {
    // A neighbour has one of the blocks, and goes while the backup begins.
    try others.backUp(SourceImage.filled([2, 9]), as: "robin")
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    #expect(try others.store.imageConfig("parrot") == nil, "there is no stub without a lock")
    let range = Self.image.range(Self.image.blocks[index])
    let lost = Self.image.bytes.withUnsafeBytes { BlockName(of: UnsafeRawBufferPointer(rebasing: $0[range])) }
    store[StoreLayout.imageBlock(lost)] = nil
    clock.go()
    _ = try backup.commit(size: Self.image.size, checksum: Self.image.checksum)
    #expect(try others.restores("parrot", Self.image))
  }

  @Test func aBackupUnderWayKeepsItsBlocksFromADeletion() throws {
    try others.backUp(SourceImage.filled([2, 9]), as: "robin")
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    clock.go()
    _ = try backup.checkpoint(offset: Self.image.size)
    #expect(try others.store.imageConfig("parrot")?.droverLock == backup.claimed().name)
    var impatient = others
    impatient.timing.patience = 0
    #expect(storeError { _ = try ImageDeletion.delete("robin", impatient.session) }?.code == .locked)
    _ = try backup.commit(size: Self.image.size, checksum: Self.image.checksum)
    #expect(try others.restores("parrot", Self.image))
  }

  @Test func aNameThatSomebodyElseTookMeanwhile() throws {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    try backup.write(Self.image)
    try others.backUp(Self.image, as: "parrot")
    clock.go()
    let error = storeError { _ = try backup.commit(size: Self.image.size, checksum: Self.image.checksum) }
    #expect(error?.code == .locked)
    #expect(error?.retry == .transient)
    backup.close()
    #expect(locks == [])
    #expect(try others.restores("parrot", Self.image))
  }

  @Test func aDeletionUnderWayIsWaitedFor() throws {
    try others.backUp(Self.image, as: "parrot")
    let folder = LockFolder(store: store, path: StoreLayout.imageLocks)
    try folder.write(
      LockRecord(name: "lock-deleting", type: LockType.deletion.rawValue, isAcquired: true), deadline: .never)
    var impatient = bench
    impatient.timing.patience = 0
    clock.go()
    #expect(storeError { _ = try ImageRestore.open(url, impatient.session) }?.code == .locked)
    #expect(locks == [folder.file("lock-deleting")])
  }

  @Test func aLockThatCantBeTakenEndsTheWork() async throws {
    try others.backUp(Self.image, as: "parrot")
    let failing = HookedStore(store)
    let restore = try ImageRestore.open(url, bench.on(failing).session)
    defer { restore.close() }
    failing.failure = StoreError(.io, "the disk is gone")
    clock.go()
    try await eventually("the restore ends") { storeError { _ = try restore.all() }?.code == .io }
  }
}

/// Stands still until it is told to go on.
private final class HeldClock: StoreClock {
  private let state = Monitor(State())

  private struct State {
    var seconds = 1000.0
    var isGoing = false
    var whenAsked: (@Sendable () -> Bool)?
  }

  func bootSeconds() -> Double { state.withLock { $0.seconds } }
  func wallSeconds() -> Int64 { 1_800_000_000 + Int64(bootSeconds()) }

  /// A waiting thread comes here again and again.
  func pause(seconds: Double) {
    let action = state.withLock { state -> (@Sendable () -> Bool)? in
      if state.isGoing { state.seconds += seconds }
      defer { state.whenAsked = nil }
      return state.whenAsked
    }
    if let action, !action() { state.withLock { $0.whenAsked = action } }
    // Real time, so that a thread that waits does not take a whole core.
    SystemClock().pause(seconds: 0.002)
  }

  /// On the thread that waits for the lock to settle, again and again until it answers true.
  func whenAsked(_ action: @escaping @Sendable () -> Bool) { state.withLock { $0.whenAsked = action } }

  func go() { state.change { $0.isGoing = true } }
}
