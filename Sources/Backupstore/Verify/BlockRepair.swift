/// Moves bad blocks aside, so that the next backup of data that has them writes them again. Under the pool's lock for
/// deletion, after each was read once more, and with the lease tested right before.
struct BlockRepair {
  let pool: StorePool
  let session: StoreSession
  /// Seconds to wait for other users' locks.
  let patience: Double

  struct Outcome: Sendable, Hashable {
    /// Blocks that were moved.
    var aside = 0
    /// Bad blocks that are not in their place any more, whoever took them away.
    var gone: [BlockName] = []
    /// Blocks that were good when they were looked at again.
    var good: [BlockName] = []
    /// Why bad blocks were left where they are.
    var problem: String?
  }

  /// Throws on cancellation, when the lock was lost, and when a block can't be looked at again or the moves not be made
  /// durable: what was not moved by then is found again. A lock that can't be had, or a block that can't be moved, is told
  /// in the outcome.
  func run(_ bad: [BlockName: String], longest: Int) throws(StoreError) -> Outcome {
    var outcome = Outcome()
    var session = session
    session.domain = pool.domain
    session.timing.patience = min(session.timing.patience ?? .infinity, patience)
    let lock: StoreLock
    do throws(StoreError) {
      lock = try StoreLock.acquire(.deletion, session)
    } catch {
      if error.code == .cancelled || error.retry == .transient && error.code != .locked { throw error }
      outcome.problem = error.message
      return outcome
    }
    defer { lock.release() }
    let inspector = BlockInspector(session, pool, longest: longest)
    for name in bad.keys.sorted() {
      try session.observer.checkCancelled()
      session.observer.phase("moving bad blocks aside", "\(pool)")
      switch try inspector.inspect(name) {
      case .good: outcome.good.append(name)
      case .missing: outcome.gone.append(name)
      case .bad(let reason):
        let deadline = try lock.check()
        do throws(StoreError) {
          try session.store.move(pool.block(name), to: pool.aside(name), deadline: deadline)
          outcome.aside += 1
          outcome.gone.append(name)
          session.observer.log(.warning, "bad block moved to \(pool.aside(name)): \(reason)")
        } catch {
          outcome.problem = outcome.problem ?? error.message
        }
      }
    }
    try session.store.sync(deadline: .usual)
    return outcome
  }
}
