import Compression
import Synchronization

extension ImageBackup {
  /// Makes the backup complete: every block that the final config names was listed or written under the unbroken lock,
  /// everything is durable, and the stub is still this backup's own. `checksum` is what was computed over the image, if
  /// anything was. Throws without having written the final config.
  public func commit(size: UInt64, checksum: String?) throws -> ImageBackupResult {
    guard size == request.size else {
      throw StoreError(.badSize, "image \(request.name) has \(size) bytes, but \(request.size) were announced")
    }
    if let ours = request.checksum, let checksum, ours != checksum {
      throw StoreError(
        .checksumMismatch, "image \(request.name) has the SHA-512 \(checksum), but \(ours) was expected",
        hint: "the image is damaged; nothing was backed up")
    }
    let known = request.checksum ?? checksum
    let lock = try claimed()
    if let existing { return try finish(existing, checksum: known, lock) }
    try checkHashes()
    let blocks = entries()
    for block in blocks where !uploader.isPresent(block.name) {
      try writeFromSource(at: block.offset, expected: block.name, keepsHoles: false)
    }
    try session.store.settle(deadline: .usual)
    switch try session.store.imageConfig(request.name) {
    case nil: throw stubGone("it was removed")
    case let config? where config.isComplete:
      // Another writer was faster; the outcome counts, not who made it.
      return try finish(config, checksum: known, lock)
    case let config? where config.droverLock != lock.name: throw stubGone("another writer took the name over")
    default: break
    }
    let config = ImageConfig(
      name: request.name, size: size, blockCount: UInt64(blocks.count), checksum: known ?? "", labels: request.labels,
      compressionMethod: request.method.rawValue, createdTime: createdTime,
      completeTime: StoreTime.text(session.clock.wallSeconds()), secret: request.secret,
      secretNamespace: request.secretNamespace, blocks: blocks)
    let document = config.encoded()
    try session.store.write(StoreLayout.imageConfig(request.name), document: document, deadline: lock.check())
    try flush()
    // Where the lock was lost while the config was written, a deletion may not have counted it: the next attempt sees
    // whether all blocks are still there.
    try lock.check()
    isDone.store(true, ordering: .relaxed)
    return ImageBackupResult(url: url, config: config, uploadedBytes: uploader.uploadedBytes)
  }

  /// A complete backup of the same content, after the blocks that the store lacks were brought there.
  private func finish(
    _ existing: ImageConfig, checksum: String?, _ lock: StoreLock
  ) throws -> ImageBackupResult {
    var request = request
    request.checksum = checksum
    guard checksum != nil else {
      throw StoreError(
        .contentConflict, "\(url) already exists, and the image has no checksum to compare with it",
        hint: "delete that backup, or back up the image under another name")
    }
    try request.requireSameContent(existing, at: url)
    for block in existing.blocks where !uploader.isPresent(block.name) {
      try writeFromSource(at: block.offset, expected: block.name, keepsHoles: false)
    }
    try session.store.settle(deadline: .usual)
    // Without the lock, a deletion may have taken it away meanwhile.
    try lock.check()
    isDone.store(true, ordering: .relaxed)
    return ImageBackupResult(url: url, config: existing, uploadedBytes: uploader.uploadedBytes)
  }

  /// Every block, also one that was never written because it is a hole now, is what the image's own list says.
  private func checkHashes() throws(StoreError) {
    guard request.blockHashes != nil else { return }
    var next: UInt64 = 0
    func checkHoles(until end: UInt64) throws(StoreError) {
      while next < end {
        if expectedName(at: next) != zeroName(at: next) { throw rotten(at: next) }
        next += ImageConfig.blockSize
      }
    }
    for block in entries() {
      try checkHoles(until: block.offset)
      if expectedName(at: block.offset) != block.name { throw rotten(at: block.offset) }
      next = block.offset + ImageConfig.blockSize
    }
    try checkHoles(until: request.size)
  }

  private func stubGone(_ reason: String) -> StoreError {
    StoreError(
      .lockLost,
      "the unfinished backup of image \(request.name) in \(session.store.url) is no longer this job's: \(reason)",
      hint: "the work starts again under a new lock")
  }
}
