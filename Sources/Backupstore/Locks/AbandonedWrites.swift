/// What attempts of a job that were killed have left unfinished in a store: temporaries with the marks of their locks.
struct AbandonedWrites {
  let store: any ObjectStore
  /// Those that nobody released.
  let locks: [LockJournal.Entry]

  private var suffixes: [String] { locks.compactMap { TemporaryMark(lock: $0.name)?.suffix } }

  func includes(_ path: some StringProtocol) -> Bool { suffixes.contains { path.hasSuffix($0) } }

  /// The locks' own files, whole and unfinished, each where it is.
  func removeLocks() throws(StoreError) {
    var emptied: Set<LockDomain> = []
    for lock in locks {
      let folder = LockFolder(store: store, path: lock.domain.path)
      if try folder.modified(lock.name, deadline: .usual) != nil { try folder.remove(lock.name) }
      if emptied.insert(lock.domain).inserted { try removeTemporaries(in: folder.path) }
    }
  }

  /// Directly in this folder.
  func removeTemporaries(in folder: String) throws(StoreError) {
    guard !locks.isEmpty else { return }
    for file in try store.names(in: folder, deadline: .usual) where includes(file) {
      try store.remove("\(folder)/\(file)", deadline: .usual)
    }
  }

  func remove(_ paths: [String]) throws(StoreError) {
    for path in paths { try store.remove(path, deadline: .usual) }
  }
}

extension LockJournal {
  /// Removes the locks that the job's earlier attempts left, on whatever they were, and what they wrote of them. Takes no
  /// lock and waits for nothing. To be called while the job holds none of this journal: when it is given up, and where an
  /// attempt begins that takes its lock late or never.
  public func removeLocks(from store: any ObjectStore) throws(StoreError) {
    let locks = try abandoned()
    try AbandonedWrites(store: store, locks: locks).removeLocks()
    try release(locks.map(\.name))
  }
}

extension StoreSession {
  /// Where an attempt begins that takes its locks late or never: what the job's killed attempts left of theirs keeps nobody
  /// waiting. What can't be removed is tried again with the next lock.
  func removeAbandonedLocks() {
    do throws(StoreError) { try lockJournal?.removeLocks(from: store) } catch {
      observer.log(.warning, "a lock that an earlier attempt left could not be removed: \(error.message)")
    }
  }
}
