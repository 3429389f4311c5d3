import Compression

extension VolumeBackup {
  /// Makes the backup complete, and the volume's last one: every block that the final config names was listed or written
  /// under the unbroken lock, everything is durable, and the stub is still this backup's own. Throws without having written
  /// the final config, but `lock-lost` also right behind that.
  public func commit(size: UInt64) throws -> VolumeBackupResult {
    guard size == request.size else {
      throw StoreError(.badSize, "volume \(request.volume) has \(size) bytes, but \(request.size) were announced")
    }
    if let existing { return try finish(existing, newBlocks: 0) }
    let delta = entries()
    let blocks = base.map { VolumeBackupConfig.merging(delta, over: $0.blocks) } ?? delta
    for block in blocks where !uploader.isPresent(block.name) { try writeFromSource(block) }
    try flush()
    try checkStub()
    let config = VolumeBackupConfig(
      name: request.name, volumeName: request.volume, snapshotName: request.snapshot, snapshotCreatedAt: begunAt,
      createdTime: StoreTime.text(session.clock.wallSeconds()), size: UInt64(blocks.count) * request.blockSize,
      labels: request.labels,
      parameters: [
        "backup-mode": request.rewrites ? "full" : "incremental", BlockSize.parameter: String(request.blockSize),
      ], isIncremental: base != nil, compressionMethod: method.rawValue,
      newlyUploadedDataSize: uploader.uploadedBytes, reUploadedDataSize: uploader.rewrittenBytes, blocks: blocks)
    try session.store.write(
      StoreLayout.volumeBackup(request.name, of: request.volume), document: config.encoded(), deadline: lock.check())
    try flush()
    return try finish(config, newBlocks: uploader.uploadedBlocks)
  }

  /// Source: longhorn-format, 8.4.
  private func finish(_ config: VolumeBackupConfig, newBlocks: UInt64) throws(StoreError) -> VolumeBackupResult {
    guard var volume = try session.store.volumeConfig(request.volume) else {
      throw StoreError(
        .lockLost, "the config of volume \(request.volume) in \(session.store.url) was removed meanwhile",
        hint: "the work starts again")
    }
    // A later one may have been made since an earlier attempt came so far.
    if volume.lastBackupName != config.name, volume.lastBackupAt <= config.snapshotCreatedAt {
      volume.lastBackupName = config.name
      volume.lastBackupAt = config.snapshotCreatedAt
      volume.blockCount += newBlocks
      volume.size = max(volume.size, request.size)
      volume.labels = config.labels
      volume.backingImageName = request.backingImage
      if !request.backingImageChecksum.isEmpty { volume.backingImageChecksum = request.backingImageChecksum }
      volume.compressionMethod = method.rawValue
      volume.dataEngine = "v1"
      try session.store.write(
        StoreLayout.volumeConfig(request.volume), document: volume.encoded(), deadline: lock.check())
      try flush()
    }
    // Where the lock was lost meanwhile, a deletion may not have counted the blocks.
    try lock.check()
    done()
    return VolumeBackupResult(url: url, volume: volume, config: config)
  }

  /// A block of the base that the store lacks is what the snapshot still holds at its place.
  private func writeFromSource(_ block: BlockEntry) throws {
    try session.observer.checkCancelled()
    session.observer.phase("uploading again", "offset \(block.offset)")
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(request.blockSize), alignment: 4096)
    defer { buffer.deallocate() }
    try request.readSource(buffer, block.offset)
    let bytes = UnsafeRawBufferPointer(buffer)
    guard BlockName(of: bytes) == block.name else {
      throw StoreError(
        .baseUnusable,
        "block \(block.name) at offset \(block.offset) is gone from the store, and volume \(request.volume) holds other "
          + "bytes there",
        hint: "everything that the volume holds is compared instead")
    }
    try uploader.upload(bytes, as: block.name)
  }

  private func checkStub() throws(StoreError) {
    let reason: String
    switch try session.store.volumeBackupConfig(request.name, of: request.volume) {
    case nil: reason = "it was removed"
    case let config? where config.isComplete || config.droverLock != lock.name:
      reason = "another writer took the name over"
    default: return
    }
    throw StoreError(
      .lockLost,
      "the unfinished backup \(request.name) of volume \(request.volume) in \(session.store.url) is no longer this job's: "
        + reason, hint: "the work starts again under a new lock")
  }

  /// Removes the stub that this job's attempts left, if it is still theirs. Never touches a complete backup, another
  /// writer's stub, or blocks. Does not wait long for a lock, and throws `locked` then.
  public static func discard(
    name: String, of volume: String, jobFolder: String, _ session: StoreSession
  ) throws(StoreError) {
    let journal = journal(jobFolder)
    let owners = try journal.names()
    guard !owners.isEmpty, StoreName.isValid(name), StoreName.isValid(volume) else { return journal.remove() }
    let abandoned = AbandonedWrites(store: session.store, locks: try journal.abandoned())
    var session = session
    session.domain = .volume(volume)
    session.lockJournal = journal
    session.timing.patience = min(session.timing.patience ?? .infinity, 10 * session.timing.settle)
    let lock = try StoreLock.acquire(.use, session)
    defer { lock.release() }
    if let config = try session.store.volumeBackupConfig(name, of: volume), !config.isComplete,
      let owner = config.droverLock, owners.contains(owner)
    {
      try session.store.remove(StoreLayout.volumeBackup(name, of: volume), deadline: lock.check())
      try session.store.sync(deadline: .usual)
    }
    if !abandoned.locks.isEmpty {
      var left: [String] = []
      try session.store.visitBlocks(
        of: .volume(volume), observer: session.observer,
        temporary: { path in if abandoned.includes(path) { left.append(path) } }
      ) { _ in }
      try abandoned.remove(left)
      try abandoned.removeTemporaries(in: StoreLayout.volumeBackups(volume))
    }
    lock.release()
    journal.remove()
  }
}
