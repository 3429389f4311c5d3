/// A lock file as a listing shows it.
struct SeenLock: Sendable, Hashable {
  var name: String
  /// Nil: there, but no lock record. Nobody knows what it excludes, so it excludes everything until it expires.
  var record: LockRecord?
  /// Nanoseconds since 1970 by the server's clock.
  var modified: Int64

  /// `serverNow`: nanoseconds since 1970 by the server's clock.
  func isExpired(at serverNow: Int64, after seconds: Double) -> Bool {
    Double(serverNow - modified) > seconds * 1e9
  }

  func excludes(_ type: LockType) -> Bool { record?.type != type.rawValue }

  /// Acquired before not acquired, then the older, then the smaller name.
  func hasPriority(over mine: SeenLock) -> Bool {
    let isAcquired = record?.isAcquired ?? true
    let mineIsAcquired = mine.record?.isAcquired ?? true
    if isAcquired != mineIsAcquired { return isAcquired }
    if modified != mine.modified { return modified < mine.modified }
    return name.utf8.lexicographicallyPrecedes(mine.name.utf8)
  }
}

/// The decision of the protocol, on what was seen and without any effect.
struct LockContest {
  var type: LockType
  var serverNow: Int64
  var expiry: Double
  var others: [SeenLock]

  /// Every lock that still stands and excludes ours.
  var rivals: [SeenLock] { others.filter { $0.excludes(type) && !$0.isExpired(at: serverNow, after: expiry) } }

  /// The lock that ours must give way to before it is acquired; nil: it may be acquired.
  func winner(over mine: SeenLock) -> SeenLock? { rivals.first { $0.hasPriority(over: mine) } }

  /// The lock that ours must give way to just after it was acquired. One that is acquired at the same time may be
  /// Longhorn's, which never looks again, so ours gives way whatever the order.
  var collision: SeenLock? { rivals.first { $0.record?.isAcquired ?? true } }
}
