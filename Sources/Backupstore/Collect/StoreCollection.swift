/// Removes what no backup of a store refers to, pool after pool. Source: longhorn-format, 7.3, 7.6 and 15.
public enum StoreCollection {
  /// What became of one pool.
  public struct PoolResult: Sendable, Hashable {
    public var pool: StorePool
    /// Blocks that were there before.
    public var blocks: Int
    /// Blocks that were removed, or would be in a dry run.
    public var removedBlocks: Int
    /// Bytes of their objects.
    public var removedBytes: UInt64
    /// Why nothing, or not everything, was removed; nil where all that nobody needs went.
    public var kept: String?
    /// Whether the pool was left as it is, since something about it is in doubt.
    public var isRefused: Bool
  }

  /// Takes each pool's lock for deletion in turn, also in a dry run, which removes nothing. A pool in doubt is left as it is
  /// and keeps no other. Throws when the store can't be listed, on cancellation, when a lock was lost, and `locked` when
  /// one can't be had within the session's patience.
  ///
  /// - Parameter threads: Removals at once.
  public static func run(
    dryRun: Bool, threads: Int, _ session: StoreSession
  ) throws(StoreError) -> [PoolResult] {
    session.removeAbandonedLocks()
    var results: [PoolResult] = []
    for pool in try session.store.pools() {
      try session.observer.checkCancelled()
      // Nothing to remove, and no reason to write a lock there.
      if try session.store.names(in: pool.blocks, deadline: .usual).isEmpty { continue }
      results.append(try collect(pool, dryRun: dryRun, threads: threads, session))
    }
    return results
  }

  private static func collect(
    _ pool: StorePool, dryRun: Bool, threads: Int, _ session: StoreSession
  ) throws(StoreError) -> PoolResult {
    var session = session
    session.domain = pool.domain
    let lock = try StoreLock.acquire(.deletion, session)
    defer { lock.release() }
    let outcome = try BlockCollection(
      session: session, pool: pool, lock: lock, trustsEmptyListing: false, isDryRun: dryRun, threads: threads
    ).run()
    return PoolResult(
      pool: pool, blocks: outcome.blocks, removedBlocks: outcome.removed, removedBytes: outcome.removedBytes,
      kept: outcome.kept, isRefused: outcome.isRefused)
  }
}
