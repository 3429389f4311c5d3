import LinuxSystem
import Synchronization

/// A lock that is being taken beside work that needs it only in the end. The two seconds that the protocol makes every
/// holder wait (longhorn-format, 6) are then not lost.
///
/// Before it is settled the holder may read, and must not rely on what it sees to stay.
final class PendingLock: Sendable {
  private enum State {
    case taking
    case held(StoreLock)
    case failed(StoreError)
  }
  private let state = Monitor(State.taking)
  private let observer: QuietObserver

  /// Where something excludes the lock already it is waited for here, as `StoreLock.acquire` does, and also where nothing has
  /// to settle; otherwise returns at once, and a thread does the rest. Throws what that throws, so also where the store
  /// can't be written.
  init(_ type: LockType, _ session: StoreSession) throws(StoreError) {
    observer = QuietObserver(session.observer)
    guard session.timing.settle > 0 else {
      let lock = try StoreLock.acquire(type, session)
      state.change { $0 = .held(lock) }
      return
    }
    let attempt = try LockAttempt.first(type, session)
    let offset = try attempt.begin()
    if try attempt.rival(serverOffset: offset) != nil {
      try? attempt.folder.remove(attempt.name)
      let lock = try StoreLock.acquire(type, session)
      state.change { $0 = .held(lock) }
      return
    }
    var beside = session
    beside.observer = observer
    let rest = LockAttempt(name: attempt.name, type: type, folder: attempt.folder, session: beside)
    do throws(SystemError) {
      try SystemThread.start("taking a lock") { [self] in take(rest, offset) }
    } catch {
      try? attempt.folder.remove(attempt.name)
      throw StoreError(.io, "no thread to take a lock: \(error)", systemError: error.errno)
    }
  }

  private func take(_ attempt: LockAttempt, _ offset: Int64) {
    do throws(StoreError) {
      let lock: StoreLock
      switch try attempt.settle(offset) {
      case .acquired(let acquired):
        attempt.removeLongExpired(except: acquired)
        try acquired.startRefreshingOrRelease()
        lock = acquired
      case .inTheWay:
        lock = try StoreLock.acquire(attempt.type, attempt.session)
      }
      state.change { $0 = .held(lock) }
    } catch {
      state.change { $0 = .failed(error) }
    }
  }

  /// Whether the lock is held by now.
  var isSettled: Bool {
    state.withLock { if case .held = $0 { true } else { false } }
  }

  /// Throws why the lock could not be taken, if that is known by now.
  func checkFailure() throws(StoreError) {
    if case .failed(let error) = state.withLock({ $0 }) { throw error }
  }

  /// Blocks until the lock is held; throws why it can't be, or `cancelled`.
  @discardableResult func settled() throws(StoreError) -> StoreLock {
    try state.wait { (state) throws(StoreError) -> StoreLock? in
      switch state {
      case .taking: nil
      case .held(let lock): lock
      case .failed(let error): throw error
      }
    }
  }

  /// Gives up taking it, or releases it. More than one call is fine.
  func close() {
    observer.giveUp()
    if let lock = try? settled() { lock.release() }
  }
}

/// Says nothing of what it is told of phases and progress: they are those of the work beside.
private final class QuietObserver: StoreObserver {
  private let other: any StoreObserver
  private let isGivenUp = Atomic(false)

  init(_ other: any StoreObserver) { self.other = other }

  func giveUp() { isGivenUp.store(true, ordering: .relaxed) }

  var isCancelled: Bool { isGivenUp.load(ordering: .relaxed) || other.isCancelled }
  func log(_ level: StoreLogLevel, _ message: String) { other.log(level, message) }
  func phase(_ phase: String, _ detail: String?) {}
  func progress(done: UInt64, total: UInt64) {}
}
