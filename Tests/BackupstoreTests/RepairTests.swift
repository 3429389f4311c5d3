import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct RepairTests {
  static let parrot = SourceImage.filled([1, 2, nil, 9])
  static let robin = SourceImage.filled([2, 3, 9])

  let clock = SimulatedClock()
  let bench: Workbench
  let store: MemoryStore
  /// The second block of parrot and the first of robin.
  let shared: BlockName

  init() throws {
    (bench, store) = Workbench.memory(clock)
    try bench.backUp(Self.parrot, as: "parrot")
    try bench.backUp(Self.robin, as: "robin")
    shared = Self.robin.bytes.withUnsafeBytes {
      BlockName(of: UnsafeRawBufferPointer(rebasing: $0[..<SourceImage.block]))
    }
    store[StorePool.images.block(shared)] = [1, 2, 3]
  }

  private func verify(_ other: (any ObjectStore)? = nil, patience: Double = 600) throws -> VerificationReport {
    var options = StoreVerification.Options(scope: .all)
    options.repairPatience = patience
    options.threads = 2
    return try StoreVerification(options, other.map { bench.on($0).session } ?? bench.session).run()
  }

  private var isInPlace: Bool { store[StorePool.images.block(shared)] != nil }
  private var locks: [String] { store.paths.filter { $0.hasSuffix(".lck") } }

  @Test func aBadBlockIsMovedAsideAndComesBackWithTheNextBackup() throws {
    let report = try verify()
    #expect(report.asideBlocks == 1 && report.repairProblem == nil)
    #expect(report.backups.allSatisfy { $0.state == .damaged })
    #expect(!isInPlace)
    #expect(store[StorePool.images.aside(shared)] == [1, 2, 3])
    #expect(locks == [])

    let again = try verify()
    #expect(again.asideBlocks == 0 && again.backups.allSatisfy { $0.reason.contains("missing") })

    // The backup exists already, and is complete.
    let result = try bench.backUp(Self.parrot, as: "parrot")
    #expect(result.uploadedBytes > 0)
    #expect(try bench.restores("parrot", Self.parrot))
    #expect(try bench.restores("robin", Self.robin))
    let last = try verify()
    #expect(last.backups.allSatisfy { $0.state == .good })
  }

  /// An image that has become another brings nothing.
  @Test func onlyTheSameContentComesBack() throws {
    _ = try verify()
    let error = storeError { try bench.backUp(.filled([1, 7, nil, 9]), as: "parrot") }
    #expect(error?.code == .contentConflict)
    #expect(!isInPlace)
  }

  @Test func aBlockThatCameRightIsLeft() throws {
    let good = Workbench.memory(clock).0
    try good.backUp(Self.robin, as: "robin")
    let path = StorePool.images.block(shared)
    let bytes = try #require(try good.store.document(path, limit: 1 << 24))
    let (store, locks) = (store, StoreLayout.imageLocks)
    let mending = ReactingStore(store) { call in
      if case .names(locks) = call { store[path] = bytes }
    }
    let report = try verify(mending)
    #expect(report.asideBlocks == 0)
    #expect(report.backups.allSatisfy { $0.state == .good })
    #expect(isInPlace)
  }

  @Test func aLockThatStandsKeepsTheBlockInPlace() throws {
    let folder = LockFolder(store: store, path: StoreLayout.imageLocks)
    try folder.write(LockRecord(name: "lock-restoring", type: 1, isAcquired: true), deadline: .never)
    let report = try verify(patience: 20)
    #expect(report.asideBlocks == 0)
    #expect(report.repairProblem?.contains("lock-restoring") == true)
    #expect(report.backups.allSatisfy { $0.state == .damaged })
    #expect(isInPlace)
    clock.advance(151)
    #expect(try verify(patience: 20).asideBlocks == 1, "an expired one does not")
  }

  @Test func aLostLeaseMovesNothing() throws {
    let (path, locks, clock) = (StorePool.images.block(shared), StoreLayout.imageLocks, clock)
    let isLocked = Mutex(false)
    let suspended = ReactingStore(store) { call in
      switch call {
      case .names(locks): isLocked.withLock { $0 = true }
      // The second look, under the lock.
      case .read(path) where isLocked.withLock({ $0 }): clock.advance(200)
      default: break
      }
    }
    #expect(storeError { _ = try verify(suspended) }?.code == .lockLost)
    #expect(isInPlace)
  }

  /// What could not be moved is counted: no backup writes it again.
  @Test func whatIsLeftInPlaceIsCounted() throws {
    let other = Self.parrot.bytes.withUnsafeBytes {
      BlockName(of: UnsafeRawBufferPointer(rebasing: $0[..<SourceImage.block]))
    }
    store[StorePool.images.block(other)] = [4, 5, 6]
    let hooked = HookedStore(store)
    hooked.failure = StoreError(.notPermitted, "not this one")
    hooked.fails = { [shared] in $0 == StorePool.images.aside(shared) }
    func counts(_ report: VerificationReport) -> [[UInt64]] {
      report.backups.map { [$0.damagedBlocks, $0.damagedInPlace] }
    }
    let report = try verify(hooked)
    #expect(report.asideBlocks == 1 && report.repairProblem == "not this one")
    #expect(counts(report) == [[2, 1], [1, 1]])
    #expect(isInPlace)

    // Backing up again brings one of them.
    try bench.backUp(Self.parrot, as: "parrot")
    #expect(try counts(verify(hooked)) == [[1, 1], [1, 1]])
    #expect(try counts(verify()) == [[1, 0], [1, 0]])
    var options = StoreVerification.Options(scope: .all)
    options.repairs = false
    store[StorePool.images.block(shared)] = [1]
    #expect(try counts(StoreVerification(options, bench.session).run()) == [[1, 1], [1, 1]])
  }

  /// An attempt that died had moved it, or somebody else has.
  @Test func whatIsGoneIsNotInPlace() throws {
    let (store, locks, path) = (store, StoreLayout.imageLocks, StorePool.images.block(shared))
    let taking = ReactingStore(store) { call in
      if case .names(locks) = call { store[path] = nil }
    }
    let report = try verify(taking)
    #expect(report.asideBlocks == 0)
    #expect(report.backups.map { [$0.damagedBlocks, $0.damagedInPlace] } == [[1, 0], [1, 0]])
  }

  @Test func aStoreThatCantBeWrittenIsVerifiedAllTheSame() throws {
    let hooked = HookedStore(store)
    hooked.failure = StoreError(.notPermitted, "read only")
    let report = try verify(hooked)
    #expect(report.backups.allSatisfy { $0.state == .damaged })
    #expect(report.repairProblem == "read only")
    #expect(report.backups.map(\.damagedInPlace) == [1, 1])
    #expect(isInPlace)
  }

  /// The next deletion removes what was moved aside once nobody misses it.
  @Test func whatWasMovedAsideGoesAtLast() throws {
    _ = try verify()
    _ = try ImageDeletion.delete("ghost", bench.session)
    #expect(store[StorePool.images.aside(shared)] != nil, "parrot misses it")
    try bench.backUp(Self.parrot, as: "parrot")
    _ = try ImageDeletion.delete("ghost", bench.session)
    #expect(store[StorePool.images.aside(shared)] == nil)
    #expect(isInPlace)
  }

  @Test func aFolderMovesByRenaming() throws {
    let folder = TemporaryFolder("store")
    let bench = try Workbench.folder(folder)
    let pool = StorePool.images
    // Longer than anything that is read.
    try bench.store.write(pool.block(shared), document: [UInt8](repeating: 1, count: 70 << 20))
    try bench.store.move(pool.block(shared), to: pool.aside(shared), deadline: .never)
    try bench.store.sync(deadline: .never)
    #expect(try bench.store.status(of: pool.block(shared), deadline: .never) == nil)
    #expect(try bench.store.status(of: pool.aside(shared), deadline: .never)?.size == 70 << 20)
    try bench.store.move(pool.block(shared), to: pool.aside(shared), deadline: .never)
    #expect(try bench.store.status(of: pool.aside(shared), deadline: .never) != nil, "one that is not there is fine")
  }
}
