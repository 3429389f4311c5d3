import Synchronization

/// Removes the blocks of a pool that no backup refers to. Under the lock for deletion, and only when every config was
/// read and the set of them did not change meanwhile; any doubt keeps every block. Source: longhorn-format, 7.3 and 15.4.
///
/// Memory is eight bytes a block and as much a block that some backup refers to, whatever the number of backups: the
/// blocks are listed once to be counted, and only if some are of no use once more to be removed on the way.
struct BlockCollection {
  let session: StoreSession
  let pool: StorePool
  let lock: StoreLock
  /// Whether a listing of no backups at all is believed: only after the last one was seen in a listing and removed.
  let trustsEmptyListing: Bool
  /// Nothing is removed; what would be is counted.
  var isDryRun = false
  /// Removals at once.
  var threads = 4

  struct Outcome: Sendable, Hashable {
    /// Blocks in the pool before.
    var blocks = 0
    /// Blocks that were, or in a dry run would be, removed.
    var removed = 0
    /// Of their objects, as far as their sizes could be told.
    var removedBytes: UInt64 = 0
    /// Why nothing, or not everything, was removed.
    var kept: String?
    /// Whether nothing was removed because something could not be known for sure.
    var isRefused = false
  }

  private var store: any ObjectStore { session.store }
  /// Names that are held at once while they are removed.
  private static let batch = 4096

  /// Throws when it was cancelled or the lock was lost; what was not removed by then stays for the next time.
  func run() throws(StoreError) -> Outcome {
    let found: Findings
    do throws(StoreError) {
      found = try findUnreferenced()
    } catch  where error.code == .cancelled || error.code == .lockLost {
      throw error
    } catch {
      session.observer.log(.warning, "unreferenced blocks of \(pool) are kept: \(error.message)")
      return Outcome(kept: error.message, isRefused: true)
    }
    var files = Failures()
    if !isDryRun {
      // Nobody uses the pool, so these are of writers that died, and of blocks that are good again or not needed.
      files = try remove(found.leftovers)
    }
    let removal = Removal(collection: self)
    if !found.unreferenced.isEmpty { try removal.run(found.unreferenced) }
    if !isDryRun {
      if case .volume(let name) = pool { try recount(name, found.blocks - found.unreferenced.count) }
      try store.sync(deadline: .usual)
    }
    return removal.outcome(blocks: found.blocks, files)
  }

  /// Writes down how many blocks the volume has that its backups need. Longhorn's users are told that number and nothing
  /// depends on it, so an error keeps nothing else.
  private func recount(_ volume: String, _ blocks: Int) throws(StoreError) {
    do throws(StoreError) {
      guard var config = try store.volumeConfig(volume), config.blockCount != UInt64(blocks) else { return }
      config.blockCount = UInt64(blocks)
      try store.write(StoreLayout.volumeConfig(volume), document: config.encoded(), deadline: lock.check())
    } catch  where error.code != .cancelled && error.code != .lockLost {
      session.observer.log(.warning, "the number of blocks of \(pool) is not written down: \(error.message)")
    }
  }

  private struct Findings {
    /// Settled.
    var unreferenced: NamePrefixes
    /// Paths of unfinished writes, and of bad blocks that nobody misses.
    var leftovers: [String]
    var blocks: Int
  }

  /// Throws with the reason why no block may be removed.
  private func findUnreferenced() throws(StoreError) -> Findings {
    var present = NamePrefixes()
    var aside: [BlockName] = []
    var leftovers: [String] = []
    try store.visitBlocks(
      of: pool, observer: session.observer, aside: { aside.append($0) }, temporary: { leftovers.append($0) }
    ) { (name) throws(StoreError) in present.insert(name) }
    present.settle()
    let blocks = present.count
    if blocks == 0 && aside.isEmpty { return Findings(unreferenced: present, leftovers: leftovers, blocks: 0) }

    let names = try store.backupNames(in: pool)
    var referenced = NamePrefixes()
    var backups = 0
    for name in names {
      try session.observer.checkCancelled()
      session.observer.phase("counting references", name)
      guard let backup = try backup(name, { leftovers.append($0) }) else { continue }
      backups += 1
      for block in backup.blocks { referenced.insert(block.name) }
    }
    referenced.settle()
    if try store.backupNames(in: pool) != names {
      throw doubt("the set of backups changed while references were counted")
    }
    if backups == 0 && !trustsEmptyListing {
      let what = pool == .images ? "image" : "backup of \(pool)"
      throw doubt("no \(what) is listed, although there are \(blocks) blocks")
    }
    for name in aside where !referenced.contains(name) || present.contains(name) { leftovers.append(pool.aside(name)) }
    present.subtract(referenced)
    return Findings(unreferenced: present, leftovers: leftovers, blocks: blocks)
  }

  /// Nil for a name that holds no backup: a foreign file, or an empty folder.
  private func backup(_ name: String, _ leftover: (String) -> Void) throws(StoreError) -> PooledBackup? {
    guard let backup = try store.pooledBackup(name, in: pool) else {
      guard case .images = pool else { throw doubt("backup \(name) of \(pool) vanished") }
      let others = try store.names(in: StoreLayout.image(name), deadline: .usual)
      guard others.allSatisfy({ StoreName.isTemporary($0) }) else {
        throw doubt("image \(name) has files but no config")
      }
      for file in others { leftover("\(StoreLayout.image(name))/\(file)") }
      return nil
    }
    if !backup.isComplete, let holder = try lock.holder(ofStub: backup.droverLock) {
      throw doubt("the backup \(name) of \(pool) is being made under the lock \(holder.name)")
    }
    return backup
  }

  private func doubt(_ reason: String) -> StoreError { StoreError(.conflict, "\(reason)") }

  /// What could not be removed.
  fileprivate struct Failures {
    var count = 0
    var first: StoreError?

    func text(_ what: String) -> String? {
      first.map { "\(count) \(what) could not be removed, the first one because: \($0.message)" }
    }
  }

  /// Failures are collected: what can't be removed keeps nothing else. Each is tried once more, since an error that passes
  /// would leave it to the next collection, and there may never be one.
  private func remove(_ paths: [String]) throws(StoreError) -> Failures {
    var failures = Failures()
    for path in paths {
      for attempt in 1...2 {
        try session.observer.checkCancelled()
        let deadline = try lock.check()
        do throws(StoreError) {
          try store.remove(path, deadline: deadline)
          break
        } catch {
          guard attempt == 2 else { continue }
          failures.count += 1
          failures.first = failures.first ?? error
        }
      }
    }
    return failures
  }

  /// Goes over the blocks once more and removes those of the set. Failures are collected: one block that can't be removed
  /// keeps no other, and is tried once more after those that were with it.
  private final class Removal: Sendable {
    private let collection: BlockCollection
    private let state = Mutex(State())

    private struct State {
      var removed = 0
      var bytes: UInt64 = 0
      var failures = Failures()
    }

    init(collection: BlockCollection) { self.collection = collection }

    func run(_ unreferenced: NamePrefixes) throws(StoreError) {
      let (store, pool, observer) = (collection.store, collection.pool, collection.session.observer)
      let silent = SilentPhases(observer)
      var batch: [BlockName] = []
      var done = 0
      try store.visitBlocks(of: pool, observer: silent) { (name) throws(StoreError) in
        guard unreferenced.contains(name) else { return }
        batch.append(name)
        guard batch.count == BlockCollection.batch else { return }
        try removeTwice(batch, after: done, of: unreferenced.count)
        done += batch.count
        batch = []
      }
      try removeTwice(batch, after: done, of: unreferenced.count)
    }

    private func removeTwice(_ names: [BlockName], after done: Int, of total: Int) throws(StoreError) {
      let (again, _) = try remove(names, after: done, of: total)
      let (left, first) = try remove(again, after: done, of: total)
      state.withLock { state in
        state.failures.count += left.count
        state.failures.first = state.failures.first ?? first
      }
    }

    private func remove(
      _ names: [BlockName], after done: Int, of total: Int
    ) throws(StoreError) -> (failed: [BlockName], first: StoreError?) {
      if names.isEmpty { return ([], nil) }
      let collection = collection
      collection.session.observer.phase(
        collection.isDryRun ? "counting unreferenced blocks" : "removing unreferenced blocks", nil)
      let failures = Mutex<(failed: [BlockName], first: StoreError?)>(([], nil))
      try Parallel.forEach(names.count, threads: collection.threads) { (index) throws(StoreError) in
        try collection.session.observer.checkCancelled()
        collection.session.observer.progress(done: UInt64(done + index), total: UInt64(total))
        do throws(StoreError) {
          let path = collection.pool.block(names[index])
          let size = try collection.store.status(of: path, deadline: .usual)?.size ?? 0
          if !collection.isDryRun {
            try collection.store.remove(path, deadline: collection.lock.check())
          }
          self.state.withLock { state in
            state.removed += 1
            state.bytes += size
          }
        } catch {
          if error.code == .lockLost || error.code == .cancelled { throw error }
          let failure = error
          failures.withLock { failures in
            failures.failed.append(names[index])
            failures.first = failures.first ?? failure
          }
        }
      }
      return failures.withLock { $0 }
    }

    fileprivate func outcome(blocks: Int, _ files: Failures) -> Outcome {
      let state = state.withLock { $0 }
      let kept = [files.text("unfinished files"), state.failures.text("blocks")].compactMap { $0 }
      return Outcome(
        blocks: blocks, removed: state.removed, removedBytes: state.bytes,
        kept: kept.isEmpty ? nil : kept.joined(separator: "; "))
    }
  }
}

/// Passes on everything but phases.
private struct SilentPhases: StoreObserver {
  private let observer: any StoreObserver
  init(_ observer: any StoreObserver) { self.observer = observer }

  var isCancelled: Bool { observer.isCancelled }
  func log(_ level: StoreLogLevel, _ message: String) { observer.log(level, message) }
  func phase(_ phase: String, _ detail: String?) {}
  func progress(done: UInt64, total: UInt64) { observer.progress(done: done, total: total) }
}
