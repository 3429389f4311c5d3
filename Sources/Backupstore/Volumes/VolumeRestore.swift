import OpenSSL

/// A complete backup of a volume, read as a disk of its own: what no block of it covers is the backing image's business.
/// Every block is checked against its name. From many threads at once.
public final class VolumeRestore: Sendable {
  /// The volume as the store knows it now; its size is the disk's, also for a backup that was made before it grew.
  public let volume: VolumeConfig
  public let backup: VolumeBackupConfig
  public let url: VolumeBackupURL
  /// Changes when the backup is made anew, or the volume grows.
  public let identity: String
  private let lock: PendingLock?
  private let disk: BlockDisk

  private init(
    _ volume: VolumeConfig, _ backup: VolumeBackupConfig, url: VolumeBackupURL, store: any ObjectStore,
    lock: PendingLock?, options: ReadOptions
  ) {
    self.volume = volume
    self.backup = backup
    self.url = url
    self.lock = lock
    let digest = backup.encoded().withUnsafeBytes { hexadecimal(SHA512.hash($0).prefix(16)) }
    identity = "\(volume.size):\(digest)"
    disk = BlockDisk(
      BlockMap(size: volume.size, blockSize: backup.blockSize, blocks: backup.blocks), store,
      .volume(volume.name, blockSize: backup.blockSize), options, lock
    ) { () throws(StoreError) in try store.completeVolumeBackup(url) == (volume, backup) }
  }

  /// Loads both configs, and takes the volume's lock beside the reading; a store that may not be written is read without
  /// one. Throws `not-found`, `unfinished-backup`, `bad-config`, `not-supported`. Whatever domain the session has.
  public static func open(
    _ url: VolumeBackupURL, _ session: StoreSession, _ options: ReadOptions = ReadOptions()
  ) throws(StoreError) -> VolumeRestore {
    // Where there is no such volume, no lock is made for it.
    _ = try session.store.completeVolumeBackup(url)
    var session = session
    session.domain = .volume(url.volume)
    let lock = try PendingLock.ifWritable(session)
    do throws(StoreError) {
      let (volume, backup) = try session.store.completeVolumeBackup(url)
      return VolumeRestore(volume, backup, url: url, store: session.store, lock: lock, options: options)
    } catch {
      lock?.close()
      throw error
    }
  }

  /// Bytes of the disk.
  public var size: UInt64 { volume.size }
  public var blockSize: UInt64 { disk.map.blockSize }
  /// Bytes in blocks.
  public var dataSize: UInt64 { disk.map.dataSize }

  /// Describes the range in order and without gaps; at most `limit` extents, so perhaps not to its end.
  public func extents(offset: UInt64, length: UInt64, limit: Int = 256) -> [StoredExtent] {
    disk.map.extents(offset: offset, length: length, limit: limit)
  }

  /// Fills the buffer; what no block covers with zeros. The range lies on the disk.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StoreError) {
    guard offset <= size, UInt64(buffer.count) <= size - offset else {
      throw StoreError(
        .invalid, "\(buffer.count) bytes at offset \(offset) reach beyond the \(size) bytes of \(url)")
    }
    try disk.read(into: buffer, at: offset)
  }

  public func close() {
    disk.close()
    lock?.close()
  }
}
