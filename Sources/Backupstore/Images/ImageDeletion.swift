/// Deletes an image's backup, and then the blocks that no other backup needs. Source: longhorn-format, 7.3 and 15.
public enum ImageDeletion {
  /// Takes the lock for deletion. A backup that is not there, and one whose config can't be read, are fine: what is left
  /// of them is removed. Throws when the backup itself could not be removed, when the lock was lost, and `in-use` while
  /// backups of volumes need the image.
  ///
  /// - Parameters:
  ///   - force: Also where backups of volumes need it.
  ///   - note: A file of the job's folder. It says that an attempt of this job saw the backup listed and removed
  ///     it, so that the next one finishes the work of one that died in between. Gone when this returns.
  ///   - threads: Requests at once.
  public static func delete(
    _ name: String, force: Bool = false, note: String? = nil, threads: Int = 4, _ session: StoreSession
  ) throws(StoreError) -> DeletionResult {
    let note = note.map { DeletionNote(path: $0) }
    let lock = try StoreLock.acquire(.deletion, session)
    defer { lock.release() }
    let store = session.store
    let existed = try store.status(of: StoreLayout.imageConfig(name), deadline: .usual) != nil
    if existed, !force { try store.checkNotNeeded(image: name, threads: threads, observer: session.observer) }
    // That a listing shows what is certainly there proves that listings work here and now.
    let listsIt = existed ? try store.imageNames().contains(name) : try note?.names(name) ?? false
    if existed, listsIt { try note?.write(name) }
    try store.remove(StoreLayout.imageConfig(name), deadline: lock.check())
    for file in try store.names(in: StoreLayout.image(name), deadline: .usual)
    where file.hasPrefix(StoreLayout.imageConfigName) && StoreName.isTemporary(file) {
      try store.remove("\(StoreLayout.image(name))/\(file)", deadline: lock.check())
    }
    try store.sync(deadline: .usual)
    let collected = try BlockCollection(
      session: session, pool: .images, lock: lock, trustsEmptyListing: listsIt, threads: threads
    ).run()
    note?.remove()
    return DeletionResult(existed: existed, removedBlocks: collected.removed, kept: collected.kept)
  }
}
