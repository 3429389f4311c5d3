import Glibc

extension OpenFile {
  /// Seconds that a holder's child may take to its exec: until then it has the descriptor, and so the lock, too.
  private static let patience = 2.0

  /// As `tryLockExclusive`, but a holder that has just let go is waited for.
  public func lockExclusiveSoon() throws(SystemError) -> Bool {
    try soon { () throws(SystemError) in try tryLockExclusive() }
  }

  /// As `tryLockShared`, but a holder that has just let go is waited for.
  public func lockSharedSoon() throws(SystemError) -> Bool {
    try soon { () throws(SystemError) in try tryLockShared() }
  }

  private func soon(_ tryLock: () throws(SystemError) -> Bool) throws(SystemError) -> Bool {
    let end = BootClock.seconds() + Self.patience
    while true {
      if try tryLock() { return true }
      guard BootClock.seconds() < end else { return false }
      usleep(20_000)
    }
  }
}
