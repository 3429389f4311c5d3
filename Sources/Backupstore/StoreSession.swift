/// What every operation on a store needs: the store, its lock's durations, time, and who is told.
public struct StoreSession: Sendable {
  public var store: any ObjectStore
  public var timing: LockTiming
  public var clock: any StoreClock
  public var observer: any StoreObserver
  /// What is locked.
  public var domain: LockDomain
  /// Where the job's locks are noted for its next attempt; nil: nowhere.
  public var lockJournal: LockJournal?

  public init(
    store: any ObjectStore, observer: any StoreObserver, lockJournal: LockJournal? = nil,
    domain: LockDomain = .images,
    timing: LockTiming = .longhorn, clock: any StoreClock = SystemClock()
  ) {
    self.store = store
    self.observer = observer
    self.lockJournal = lockJournal
    self.domain = domain
    self.timing = timing
    self.clock = clock
  }
}
