/// Deletes one backup of a volume, and then the blocks that no other backup of it needs. Source: longhorn-format, 7.6.
public enum VolumeBackupDeletion {
  /// Takes the volume's lock for deletion. A backup that is not there, and one whose config can't be read, are fine: what
  /// is left of them is removed. Throws when the backup itself could not be removed, when the lock was lost, `bad-config`
  /// where the volume's own config is none, and `locked` while somebody makes the backup. Whatever domain the session has.
  ///
  /// The volume's config stops naming the backup before that goes: whoever dies in between leaves one that is whole and
  /// not the last, which harms nobody.
  ///
  /// - Parameters:
  ///   - name: Of the backup; like `volume` a valid name.
  ///   - note: A file of the job's folder; see `DeletionNote`. Gone when this returns.
  ///   - threads: Requests at once.
  public static func delete(
    _ name: String, of volume: String, note: String? = nil, threads: Int = 4, _ session: StoreSession
  ) throws(StoreError) -> DeletionResult {
    let store = session.store
    let (pool, note) = (StorePool.volume(volume), note.map { DeletionNote(path: $0) })
    let path = pool.config(of: name)
    let isVolume = try store.status(of: StoreLayout.volumeConfig(volume), deadline: .usual) != nil
    if !isVolume, try store.status(of: path, deadline: .usual) == nil {
      // Where there is no such volume, no lock is made for it.
      session.removeAbandonedLocks()
      note?.remove()
      return DeletionResult(existed: false, removedBlocks: 0, kept: nil)
    }
    var session = session
    session.domain = pool.domain
    let lock = try StoreLock.acquire(.deletion, session)
    defer { lock.release() }
    let existed = try store.status(of: path, deadline: .usual) != nil
    try checkNobodyMakes(name, pool, lock, session)
    // That a listing shows what is certainly there proves that listings work here and now.
    let listsIt =
      existed ? try store.backupNames(in: pool).contains(name) : try note?.names(name) ?? false
    if var config = try store.volumeConfig(volume), config.lastBackupName == name {
      let last = try newest(of: volume, without: name, session)
      config.lastBackupName = last?.name ?? ""
      config.lastBackupAt = last?.snapshotCreatedAt ?? ""
      try store.write(StoreLayout.volumeConfig(volume), document: config.encoded(), deadline: lock.check())
      try store.sync(deadline: .usual)
    }
    if existed, listsIt { try note?.write(name) }
    try store.remove(path, deadline: lock.check())
    let folder = StoreLayout.volumeBackups(volume)
    for file in try store.names(in: folder, deadline: .usual)
    where "\(folder)/\(file)".hasPrefix(path) && StoreName.isTemporary(file) {
      try store.remove("\(folder)/\(file)", deadline: lock.check())
    }
    try store.sync(deadline: .usual)
    let collected = try BlockCollection(
      session: session, pool: pool, lock: lock, trustsEmptyListing: listsIt, threads: threads
    ).run()
    note?.remove()
    return DeletionResult(existed: existed, removedBlocks: collected.removed, kept: collected.kept)
  }

  /// The lock for deletion keeps makers out. One that got in nevertheless is not robbed of its stub.
  private static func checkNobodyMakes(
    _ name: String, _ pool: StorePool, _ lock: StoreLock, _ session: StoreSession
  ) throws(StoreError) {
    let backup: PooledBackup?
    do throws(StoreError) { backup = try session.store.pooledBackup(name, in: pool) } catch
      where error.code == .badConfig
    {
      return
    }
    guard let backup, !backup.isComplete, let holder = try lock.holder(ofStub: backup.droverLock) else { return }
    throw StoreError(
      .locked, "the backup \(name) of \(pool) can't be deleted: it is being made under the lock \(holder.name)")
  }

  /// The complete backup that was begun last; nil where there is none, and where any other one can't be read: then the
  /// volume's next backup looks at everything. Source: longhorn-format, 7.6.
  private static func newest(
    of volume: String, without name: String, _ session: StoreSession
  ) throws(StoreError) -> VolumeBackupConfig? {
    var newest: VolumeBackupConfig?
    do throws(StoreError) {
      for other in try session.store.volumeBackupNames(volume) where other != name {
        try session.observer.checkCancelled()
        guard var backup = try session.store.volumeBackupConfig(other, of: volume) else { return nil }
        backup.blocks = []
        guard backup.isComplete else { continue }
        if newest.map({ $0.snapshotCreatedAt < backup.snapshotCreatedAt }) ?? true { newest = backup }
      }
    } catch  where error.code != .cancelled {
      session.observer.log(.warning, "volume \(volume) has no last backup from now on: \(error.message)")
      return nil
    }
    return newest
  }
}
