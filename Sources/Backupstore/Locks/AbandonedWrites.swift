/// What attempts of a job that were killed have left unfinished in a store: temporaries with the marks of their locks.
struct AbandonedWrites {
  let store: any ObjectStore
  /// Of the locks that nobody released.
  let locks: [String]

  private var suffixes: [String] { locks.compactMap { TemporaryMark(lock: $0)?.suffix } }

  func includes(_ path: some StringProtocol) -> Bool { suffixes.contains { path.hasSuffix($0) } }

  /// The locks' own files, whole and unfinished.
  func removeLocks(in folder: LockFolder) throws(StoreError) {
    guard !locks.isEmpty else { return }
    for name in locks where try folder.modified(name, deadline: .usual) != nil { try folder.remove(name) }
    try removeTemporaries(in: folder.path)
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
  /// For a job that is given up: removes the locks that its attempts left, and what they wrote of them. Takes no lock
  /// and waits for nothing.
  public func removeLocks(from store: any ObjectStore, on domain: LockDomain = .images) throws(StoreError) {
    let locks = try abandoned()
    try AbandonedWrites(store: store, locks: locks).removeLocks(
      in: LockFolder(store: store, path: domain.path))
    try release(locks)
  }
}
