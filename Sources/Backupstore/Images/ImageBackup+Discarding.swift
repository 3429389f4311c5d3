extension ImageBackup {
  /// Removes the stub that this job's attempts left, if it is still theirs. Never touches a complete backup, another
  /// writer's stub, or blocks. Does not wait long for a lock, and throws `locked` then.
  public static func discard(name: String, jobFolder: String, _ session: StoreSession) throws(StoreError) {
    let journal = BackupJournal(folder: jobFolder)
    let owners = try journal.locks.names()
    guard !owners.isEmpty, StoreName.isValid(name) else { return journal.remove() }
    let abandoned = AbandonedWrites(store: session.store, locks: try journal.locks.abandoned())
    var session = session
    session.lockJournal = journal.locks
    session.timing.patience = min(session.timing.patience ?? .infinity, 10 * session.timing.settle)
    let lock = try StoreLock.acquire(.use, session)
    defer { lock.release() }
    if let config = try session.store.imageConfig(name), !config.isComplete, let owner = config.droverLock,
      owners.contains(owner)
    {
      try session.store.remove(StoreLayout.imageConfig(name), deadline: lock.check())
      try session.store.sync(deadline: .usual)
    }
    if !abandoned.locks.isEmpty {
      var left: [String] = []
      _ = try session.store.imageBlocks(observer: session.observer) { path in
        if abandoned.includes(path) { left.append(path) }
      }
      try abandoned.remove(left)
      try abandoned.removeTemporaries(in: StoreLayout.image(name))
    }
    lock.release()
    journal.remove()
  }
}
