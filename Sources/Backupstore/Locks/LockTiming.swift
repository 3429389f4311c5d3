/// Durations of the lock protocol, in seconds. Source: longhorn-format, 6.
public struct LockTiming: Sendable, Hashable {
  /// Between the own lock's appearance and the look at the others.
  public var settle: Double
  /// Between two refreshes of a held lock.
  public var refresh: Double
  /// After the time of its last refresh a lock counts for nothing.
  public var expiry: Double
  /// After the start of the last confirmed refresh, the holder itself no longer trusts its lock. Less than `expiry`, so
  /// that nobody else takes it for expired before.
  public var lease: Double
  /// Between attempts to refresh after one that failed.
  public var retry: Double
  /// Between looks at a lock that is in the way.
  public var poll: Double
  /// A lock that expired so long ago is removed by the next who takes one.
  public var cleanup: Double
  /// How long to wait for others; nil waits until cancelled. Then it fails as `locked`.
  public var patience: Double?

  /// What every user of a Longhorn store must keep to.
  public static let longhorn = LockTiming(
    settle: 2, refresh: 60, expiry: 150, lease: 120, retry: 5, poll: 3, cleanup: 3600, patience: nil)

  public init(
    settle: Double, refresh: Double, expiry: Double, lease: Double, retry: Double, poll: Double, cleanup: Double,
    patience: Double?
  ) {
    self.settle = settle
    self.refresh = refresh
    self.expiry = expiry
    self.lease = lease
    self.retry = retry
    self.poll = poll
    self.cleanup = cleanup
    self.patience = patience
  }
}
