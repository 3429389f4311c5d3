import LinuxSystem

/// A backup's hold on the store: its lock, and what is to be done once that is held. From many threads at once.
final class BackupClaim: Sendable {
  private enum State {
    case open
    case settling
    case settled(StoreLock)
    case failed(StoreError)
  }
  private let pending: PendingLock
  private let state: Monitor<State>

  /// To be settled by the first who asks.
  init(_ pending: PendingLock) {
    self.pending = pending
    state = Monitor(.open)
  }

  init(_ pending: PendingLock, settled lock: StoreLock) {
    self.pending = pending
    state = Monitor(.settled(lock))
  }

  /// Blocks until the claim is settled, by `body` under the held lock, once. What that throws, everybody gets.
  func settled(_ body: (StoreLock) throws(StoreError) -> Void) throws(StoreError) -> StoreLock {
    let lock: StoreLock? = try state.wait { (state) throws(StoreError) -> StoreLock?? in
      switch state {
      case .open:
        state = .settling
        return .some(nil)
      case .settling: return nil
      case .settled(let lock): return lock
      case .failed(let error): throw error
      }
    }
    if let lock { return lock }
    do throws(StoreError) {
      let lock = try pending.settled()
      try body(lock)
      state.change { $0 = .settled(lock) }
      return lock
    } catch {
      state.change { $0 = .failed(error) }
      throw error
    }
  }

  func close() { pending.close() }
}
