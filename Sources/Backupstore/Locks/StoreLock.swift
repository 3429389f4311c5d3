import LinuxSystem

/// A held lock on all images of a store, or on one volume, with its lease. Source: longhorn-format, 6.
///
/// A thread of its own refreshes the file. The lease is lost for good when the boot-time clock says that the last
/// confirmed refresh began more than `timing.lease` seconds ago, or when the file was removed by somebody else:
/// `check` then throws, and it is asked right before each delete and each write of a config.
public final class StoreLock: Sendable {
  /// The lock's name in the store.
  public let name: String
  public let type: LockType
  let folder: LockFolder
  private let timing: LockTiming
  private let clock: any StoreClock
  private let observer: any StoreObserver
  private let journal: LockJournal?
  private let domain: LockDomain
  /// Whether the thread that refreshes is there.
  var isRefreshing: Bool { lease.change { $0.isRefreshing } }
  /// Server time less boot time, in nanoseconds; measured from the own lock's file.
  private let serverOffset: Int64
  private let lease: Monitor<Lease>

  private static let removals = 3

  private struct Lease {
    /// Boot time at which the last confirmed refresh began.
    var confirmed: Double
    /// Why it is lost; nil while it is held.
    var loss: String?
    var isReleased = false
    var isRefreshing = false
    /// Boot time at which the next refresh is due.
    var due: Double
  }

  init(
    name: String, type: LockType, folder: LockFolder, session: StoreSession, serverOffset: Int64, confirmed: Double
  ) {
    self.name = name
    self.type = type
    self.folder = folder
    timing = session.timing
    clock = session.clock
    observer = session.observer
    journal = session.lockJournal
    domain = session.domain
    self.serverOffset = serverOffset
    lease = Monitor(Lease(confirmed: confirmed, due: confirmed + session.timing.refresh))
  }

  /// Nanoseconds since 1970 by the server's clock, as far as the own lock's file tells it.
  var serverNow: Int64 { ServerTime.now(clock, offset: serverOffset) }

  /// Throws `lock-lost` unless the lease certainly holds. Returns how long it does: a call that changes what the lock
  /// protects must have given up by then, or it could come through when somebody else has the lock.
  @discardableResult public func check() throws(StoreError) -> Deadline {
    let now = clock.bootSeconds()
    let (loss, confirmed): (String?, Double) = lease.change { lease in
      if lease.loss == nil && now - lease.confirmed > timing.lease {
        lease.loss = "it was not refreshed for \(Int(now - lease.confirmed)) s"
      }
      return (lease.loss, lease.confirmed)
    }
    if let loss { throw lost(loss) }
    return .after(seconds: max(1, confirmed + timing.lease - now))
  }

  /// Other locks that still stand, of either type. Throws when they can't be listed.
  func living() throws(StoreError) -> [SeenLock] {
    let now = serverNow
    return try folder.locks().filter { $0.name != name && !$0.isExpired(at: now, after: timing.expiry) }
  }

  /// Starts the thread that refreshes. Without it, `refresh` must be called by hand.
  func startRefreshing() throws(StoreError) {
    lease.change { $0.isRefreshing = true }
    do throws(SystemError) {
      try SystemThread.start("store lock") { [self] in
        while waitUntilDue() { refresh() }
        lease.change { $0.isRefreshing = false }
      }
    } catch {
      lease.change { $0.isRefreshing = false }
      throw StoreError(.io, "no thread to refresh a lock: \(error)", systemError: error.errno)
    }
  }

  /// False when there is nothing to refresh any more.
  private func waitUntilDue() -> Bool {
    while true {
      let left = lease.withLock { $0.due } - clock.bootSeconds()
      let ended: Bool? = lease.wait(atMost: min(max(left, 0), 1)) { lease in
        lease.isReleased || lease.loss != nil ? true : nil
      }
      if ended == true { return false }
      if lease.withLock({ $0.due }) <= clock.bootSeconds() { return true }
    }
  }

  /// One refresh: writes the file again, unless the lease is lost already.
  func refresh() {
    let began = clock.bootSeconds()
    do throws(StoreError) {
      let deadline = try check()
      guard try folder.modified(name, deadline: deadline) != nil else {
        return lose("somebody removed its file")
      }
      try folder.write(LockRecord(name: name, type: type.rawValue, isAcquired: true), deadline: deadline)
      // A write that took so long that others may have seen the lock expire does not bring it back.
      try check()
      lease.change {
        $0.confirmed = began
        $0.due = began + timing.refresh
      }
    } catch {
      lease.change { $0.due = began + timing.retry }
      observer.log(.warning, "the lock \(name) could not be refreshed: \(error.message)")
    }
  }

  private func lose(_ reason: String) {
    lease.change { $0.loss = $0.loss ?? reason }
    observer.log(.warning, "the lock \(name) is lost: \(reason)")
  }

  /// Ends the refreshing and removes the file. What can't be removed expires by itself. More than one call is fine.
  /// Nothing may be under way under the lock any more.
  public func release() {
    let isFirst = lease.change { lease in
      defer { lease.isReleased = true }
      return !lease.isReleased
    }
    guard isFirst else { return }
    // A refresh that is under way would write the file again after its removal.
    _ = lease.wait(atMost: 60) { lease -> Void? in lease.isRefreshing ? nil : () }
    for attempt in 1...Self.removals {
      do throws(StoreError) {
        try folder.remove(name)
        return try journal?.release([name]) ?? ()
      } catch {
        // Nobody comes back for it, and it would hold up others.
        if attempt < Self.removals {
          clock.pause(seconds: 0.2)
        } else {
          observer.log(.warning, "the lock \(name) could not be removed and will expire: \(error.message)")
        }
      }
    }
  }

  private func lost(_ reason: String) -> StoreError {
    StoreError(
      .lockLost, "the lock \(name) on \(domain) in \(folder.store.url) is lost: \(reason)",
      hint: "the work goes on under a new lock")
  }
}

/// The server's clock, seen through the own lock's file and carried by the boot-time clock, which nobody sets.
enum ServerTime {
  /// `modified`: server time of a file whose writing began and ended at these boot times.
  static func offset(modified: Int64, began: Double, ended: Double) -> Int64 {
    modified - Int64((began + ended) / 2 * 1e9)
  }

  static func now(_ clock: any StoreClock, offset: Int64) -> Int64 { Int64(clock.bootSeconds() * 1e9) + offset }
}
