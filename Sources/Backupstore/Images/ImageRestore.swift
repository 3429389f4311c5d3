import OpenSSL

/// A complete backup of an image, read as a disk. Every block is checked against its name. From many threads at once.
public final class ImageRestore: Sendable {
  public typealias Extent = StoredExtent

  public let config: ImageConfig
  public let url: ImageBackupURL
  /// Changes when the backup is made anew.
  public let identity: String
  private let store: any ObjectStore
  private let lock: PendingLock?
  private let disk: BlockDisk

  private init(
    config: ImageConfig, url: ImageBackupURL, store: any ObjectStore, lock: PendingLock?, options: ReadOptions
  ) {
    self.config = config
    self.url = url
    self.store = store
    self.lock = lock
    let digest = config.encoded().withUnsafeBytes { hexadecimal(SHA512.hash($0).prefix(16)) }
    identity = "\(config.size):\(digest)"
    disk = BlockDisk(
      BlockMap(size: config.size, blockSize: ImageConfig.blockSize, blocks: config.blocks), store,
      .images(reading: config.name), options, lock
    ) { () throws(StoreError) in try store.completeImage(url) == config }
  }

  /// Loads the config, and takes the lock beside the reading: every block is checked in any case, and one that is missing
  /// or bad is only believed to be once the lock was there. A store that may not be written is read without one. Throws
  /// `not-found`, `unfinished-backup`, `bad-config`.
  public static func open(
    _ url: ImageBackupURL, _ session: StoreSession, _ options: ReadOptions = ReadOptions()
  ) throws(StoreError) -> ImageRestore {
    let lock = try PendingLock.ifWritable(session)
    do throws(StoreError) {
      let config = try session.store.completeImage(url)
      return ImageRestore(config: config, url: url, store: session.store, lock: lock, options: options)
    } catch {
      lock?.close()
      throw error
    }
  }

  /// The same backup under the same lock, read otherwise. This one must not be used any more, not even closed.
  public consuming func changing(_ options: ReadOptions) -> ImageRestore {
    disk.close()
    return ImageRestore(config: config, url: url, store: store, lock: lock, options: options)
  }

  /// Describes the range in order and without gaps; at most `limit` extents, so perhaps not to its end. What is no data
  /// reads as zero.
  public func extents(offset: UInt64, length: UInt64, limit: Int = 256) -> [StoredExtent] {
    disk.map.extents(offset: offset, length: length, limit: limit)
  }

  /// Bytes of the largest image whose list is handed out: 64 MiB of hashes.
  private static let largestListed = ImageConfig.blockSize * 2 << 20

  /// 32 bytes for each block, holes included, as an image has them beside it. Nil where the backup has no checksum of the
  /// whole, which the list is worth nothing without.
  public func blockHashes() -> [UInt8]? {
    // A config may lie about the size; a list that can't be kept in memory is one nobody needs.
    guard !config.checksum.isEmpty, config.size <= Self.largestListed else { return nil }
    let zeros = ImageBackup.zeroNames(size: config.size)
    let count = Int((config.size + ImageConfig.blockSize - 1) / ImageConfig.blockSize)
    var hashes = [UInt8](repeating: 0, count: count * BlockHash.length)
    var next = config.blocks[...]
    hashes.withUnsafeMutableBytes { bytes in
      for index in 0..<count {
        let offset = UInt64(index) * ImageConfig.blockSize
        let name: BlockName
        if let block = next.first, block.offset == offset {
          name = block.name
          next = next.dropFirst()
        } else {
          name = index == count - 1 ? zeros.last : zeros.whole
        }
        name.store(into: UnsafeMutableRawBufferPointer(rebasing: bytes[(index * BlockHash.length)...]))
      }
    }
    return hashes
  }

  /// Fills the buffer, holes with zeros. The range lies in the image.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StoreError) {
    guard offset <= config.size, UInt64(buffer.count) <= config.size - offset else {
      throw StoreError(
        .invalid, "\(buffer.count) bytes at offset \(offset) reach beyond the \(config.size) bytes of \(url)")
    }
    try disk.read(into: buffer, at: offset)
  }

  public func close() {
    disk.close()
    lock?.close()
  }
}
