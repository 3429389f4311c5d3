import LinuxSystem
import TestKit
import Testing

@testable import Backupstore

@Suite struct LockTests {
  let clock = SimulatedClock(serverAhead: 7000)
  let store: MemoryStore
  let observer = RecordingObserver()
  let folder: LockFolder

  init() {
    store = MemoryStore(clock: clock)
    folder = LockFolder(store: store, path: StoreLayout.imageLocks)
  }

  private func session(_ store: (any ObjectStore)? = nil, patience: Double? = nil) -> StoreSession {
    var timing = LockTiming.longhorn
    timing.patience = patience
    return StoreSession(store: store ?? self.store, observer: observer, timing: timing, clock: clock)
  }

  private func acquire(_ type: LockType, patience: Double? = nil) throws -> StoreLock {
    try StoreLock.acquireUnrefreshed(type, session(patience: patience))
  }

  private func put(_ name: String, _ type: UInt64, acquired: Bool, age: Double = 0) throws {
    // Written in the past: the clock goes on afterwards.
    try folder.write(LockRecord(name: name, type: type, isAcquired: acquired), deadline: .never)
    clock.advance(age)
  }

  @Test func theDefaultsAreLonghorns() {
    let timing = LockTiming.longhorn
    #expect(timing.settle == 2 && timing.refresh == 60 && timing.expiry == 150)
    #expect(timing.lease == 120 && timing.cleanup == 3600 && timing.patience == nil)
  }

  @Test func takesAndReleases() throws {
    let began = clock.bootSeconds()
    let lock = try acquire(.use)
    #expect(clock.bootSeconds() - began >= 2, "it settles")
    let seen = try folder.locks()
    #expect(seen.map(\.record) == [LockRecord(name: lock.name, type: 1, isAcquired: true)])
    #expect(store.paths == ["backupstore/volumes/22/fc/BACKINGIMAGE/locks/\(lock.name).lck"])
    try lock.check()
    lock.release()
    lock.release()
    #expect(store.paths == [])
  }

  @Test(arguments: [LockType.use, .deletion]) func oneTypeStandsBesideItself(_ type: LockType) throws {
    let first = try acquire(type)
    let second = try acquire(type)
    #expect(try folder.locks().count == 2)
    first.release()
    second.release()
  }

  @Test(arguments: [(LockType.use, LockType.deletion), (.deletion, .use)])
  func twoTypesExcludeEachOther(_ held: LockType, _ wanted: LockType) throws {
    let first = try acquire(held)
    let error = storeError { _ = try acquire(wanted, patience: 30) }
    #expect(error?.code == .locked)
    #expect(error?.retry == .transient)
    #expect(error?.message.contains(first.name) == true)
    #expect(observer.phases.contains("waiting for lock"))
    #expect(try folder.locks().map(\.name) == [first.name], "the loser's file is gone")
  }

  @Test func waitsUntilTheOtherIsDone() throws {
    let first = try acquire(.deletion)
    clock.after(40) { first.release() }
    let began = clock.bootSeconds()
    let second = try acquire(.use)
    #expect(clock.bootSeconds() - began >= 40)
    #expect(observer.phases.filter { $0 == "waiting for lock" }.count >= 5, "with signs of life")
    second.release()
  }

  @Test func waitingCanBeCancelled() throws {
    _ = try acquire(.deletion)
    clock.after(20) { [observer] in observer.cancel() }
    #expect(storeError { _ = try acquire(.use) }?.code == .cancelled)
    #expect(try folder.locks().count == 1)
  }

  /// A crashed holder's lock counts for nothing after 150 s, by the server's clock, which is 7000 s ahead here.
  @Test func anExpiredLockCountsForNothing() throws {
    try put("lock-crashed", 2, acquired: true, age: 140)
    #expect(storeError { _ = try acquire(.use, patience: 0) }?.code == .locked)
    let lock = try acquire(.use)
    #expect(try folder.locks().contains { $0.name == "lock-crashed" }, "but it stays for an hour")
    lock.release()
    clock.advance(3600)
    try acquire(.use).release()
    #expect(store.paths == [], "then it is removed")
  }

  @Test func whatIsNoLockRecordExcludesUntilItExpires() throws {
    store["\(StoreLayout.imageLocks)/lock-junk.lck"] = [1, 2, 3]
    store["\(StoreLayout.imageLocks)/lock-long.lck"] = [UInt8](repeating: 0x20, count: 100_000)
    #expect(storeError { _ = try acquire(.use, patience: 10) }?.code == .locked)
    clock.advance(200)
    try acquire(.use).release()
  }

  @Test func foreignFilesAmongLocksAreIgnored() throws {
    for name in ["README", "lock-1.lck.tmp.123", ".lck", "..lck", "a.lck"] {
      store["\(StoreLayout.imageLocks)/\(name)"] = Array(#"{"Name":"x","Type":2,"Acquired":true}"#.utf8)
    }
    try acquire(.use, patience: 0).release()
  }

  @Test(arguments: [
    // Acquired goes before not acquired, then the older, then the smaller name.
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 2, isAcquired: true), modified: 9), true),
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 2, isAcquired: false), modified: 9), false),
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 2, isAcquired: false), modified: 4), true),
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 2, isAcquired: false), modified: 5), true),
    (SeenLock(name: "d", record: LockRecord(name: "d", type: 2, isAcquired: false), modified: 5), false),
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 1, isAcquired: true), modified: 4), false),
    (SeenLock(name: "b", record: LockRecord(name: "b", type: 0, isAcquired: true), modified: 9), true),
    (SeenLock(name: "d", record: nil, modified: 9), true),
  ])
  func priority(_ other: SeenLock, _ wins: Bool) {
    let mine = SeenLock(name: "c", record: LockRecord(name: "c", type: 1, isAcquired: false), modified: 5)
    let contest = LockContest(type: .use, serverNow: 10, expiry: 150, others: [other])
    #expect((contest.winner(over: mine) != nil) == wins)
    let late = LockContest(type: .use, serverNow: 151_000_000_000, expiry: 150, others: [other])
    #expect(late.winner(over: mine) == nil)
  }

  /// A rival whose file appears after the look at the others: the last look sees it.
  @Test func looksAgainAfterAcquiring() throws {
    let hooked = HookedStore(store)
    let rival = LockRecord(name: "lock-late", type: 2, isAcquired: true)
    hooked.beforeWrite = { [folder, store, clock] path, bytes in
      guard path.hasSuffix(".lck"), String(decoding: bytes, as: UTF8.self).contains("true") else { return }
      if store.paths.contains(folder.file(rival.name)) { return }
      try? folder.write(rival, deadline: .never)
      clock.after(30) { store[folder.file(rival.name)] = nil }
    }
    let error = storeError { _ = try StoreLock.acquireUnrefreshed(.use, session(hooked, patience: 10)) }
    #expect(error?.code == .locked)
    #expect(try folder.locks().map(\.name) == ["lock-late"])
  }

  @Test func aLeaseIsLostAfter120SecondsWithoutARefresh() throws {
    let lock = try acquire(.use)
    clock.advance(119)
    try lock.check()
    lock.refresh()
    clock.advance(119)
    try lock.check()
    clock.advance(2)
    let error = storeError { try lock.check() }
    #expect(error?.code == .lockLost)
    #expect(error?.retry == .transient)
    // It is lost for good: another may have taken over meanwhile.
    lock.refresh()
    #expect(storeError { try lock.check() }?.code == .lockLost)
    lock.release()
    #expect(store.paths == [])
  }

  @Test func aRefreshIsConfirmedFromItsStart() throws {
    let hooked = HookedStore(store)
    let lock = try StoreLock.acquireUnrefreshed(.use, session(hooked))
    clock.advance(60)
    // The write takes 50 s: 110 s after the last confirmed refresh began, it is still in time.
    hooked.beforeWrite = { [clock] _, _ in clock.advance(50) }
    lock.refresh()
    hooked.beforeWrite = nil
    clock.advance(69)
    try lock.check()
    clock.advance(2)
    #expect(storeError { try lock.check() }?.code == .lockLost)
  }

  @Test func aRefreshThatTookTooLongBringsNothingBack() throws {
    let hooked = HookedStore(store)
    let lock = try StoreLock.acquireUnrefreshed(.use, session(hooked))
    clock.advance(60)
    hooked.beforeWrite = { [clock] _, _ in clock.advance(70) }
    lock.refresh()
    #expect(storeError { try lock.check() }?.code == .lockLost)
  }

  @Test func aFailedRefreshIsTriedAgain() throws {
    let hooked = HookedStore(store)
    let lock = try StoreLock.acquireUnrefreshed(.use, session(hooked))
    clock.advance(60)
    hooked.failure = StoreError(.network, "no network")
    lock.refresh()
    try lock.check()
    #expect(observer.lines.contains { $0.contains("could not be refreshed") })
    hooked.failure = nil
    clock.advance(5)
    lock.refresh()
    clock.advance(119)
    try lock.check()
  }

  @Test func aRemovedLockIsLostAtTheNextRefresh() throws {
    let lock = try acquire(.use)
    store[folder.file(lock.name)] = nil
    lock.refresh()
    #expect(storeError { try lock.check() }?.code == .lockLost)
    #expect(store.paths == [], "it is not written again")
  }

  /// What is done under the lock must have ended by then.
  @Test func itTellsHowLongItHolds() throws {
    let lock = try acquire(.deletion)
    func left() throws -> Double { try lock.check().bootSeconds - BootClock.seconds() }
    let lease = LockTiming.longhorn.lease
    #expect(try left() <= lease)
    clock.advance(lease - 20)
    #expect(try left() <= 20)
    clock.advance(21)
    #expect(storeError { try lock.check() }?.code == .lockLost)
  }

  @Test func itsThreadRefreshes() async throws {
    var timing = LockTiming.brisk
    timing.refresh = 0.05
    let session = StoreSession(store: store, observer: observer, timing: timing)
    let hooked = HookedStore(store)
    var own = session
    own.store = hooked
    let lock = try StoreLock.acquire(.use, own)
    let before = hooked.writes
    try await eventually("two refreshes", within: 10) { hooked.writes >= before + 2 }
    #expect(lock.isRefreshing)
    lock.release()
    #expect(!lock.isRefreshing, "nobody is left to write it again")
    #expect(store.paths == [])
  }

  /// Every call of taking a lock fails once: nothing stays that could hold up others for longer than a lock expires.
  @Test func everyCallThatFails() throws {
    var nth = 1
    while true {
      let faulty = FaultyStore(store, .call(nth))
      let error = storeError { try StoreLock.acquireUnrefreshed(.use, session(faulty)).release() }
      if faulty.calls < nth { break }
      if error == nil { #expect(observer.lines.contains { $0.contains("could not be removed") } || nth > 5) }
      clock.advance(200)
      try acquire(.deletion, patience: 1).release()
      nth += 1
    }
    #expect(nth > 6)
  }
}
