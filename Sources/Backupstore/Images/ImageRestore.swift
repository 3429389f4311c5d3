import OpenSSL

/// A complete backup of an image, read as a disk. Every block is checked against its name. From many threads at once.
public final class ImageRestore: Sendable {
  public let config: ImageConfig
  public let url: ImageBackupURL
  /// Changes when the backup is made anew.
  public let identity: String
  private let store: any ObjectStore
  private let lock: PendingLock?
  private let reader: BlockReader

  private init(config: ImageConfig, url: ImageBackupURL, store: any ObjectStore, lock: PendingLock?) {
    self.config = config
    self.url = url
    self.store = store
    self.lock = lock
    let digest = config.encoded().withUnsafeBytes { hexadecimal(SHA512.hash($0).prefix(16)) }
    identity = "\(config.size):\(digest)"
    reader = BlockReader(store, image: config.name)
  }

  /// Loads the config, and takes the lock beside the reading: every block is checked in any case, and one that is missing
  /// or bad is only believed to be once the lock was there. A store that may not be written is read without one. Throws `not-found`, `unfinished-backup`, `bad-config`.
  public static func open(_ url: ImageBackupURL, _ session: StoreSession) throws(StoreError) -> ImageRestore {
    let lock = try optionalLock(session)
    do throws(StoreError) {
      let config = try session.store.completeImage(url)
      return ImageRestore(config: config, url: url, store: session.store, lock: lock)
    } catch {
      lock?.close()
      throw error
    }
  }

  private static func optionalLock(_ session: StoreSession) throws(StoreError) -> PendingLock? {
    do throws(StoreError) {
      return try PendingLock(.use, session)
    } catch  where error.code == .notPermitted || error.code == .credentialsRefused {
      session.observer.log(.warning, "reading without a lock, since the store can't be written: \(error.message)")
      // Where it could be written a moment ago, a lock may have come into being.
      try? session.lockJournal?.removeLocks(from: session.store)
      return nil
    }
  }

  /// A run of blocks, or of holes, which read as zero. In bytes.
  public struct Extent: Sendable, Hashable {
    public var offset: UInt64
    public var length: UInt64
    public var isData: Bool

    public init(offset: UInt64, length: UInt64, isData: Bool) {
      self.offset = offset
      self.length = length
      self.isData = isData
    }
  }

  /// Describes the range in order and without gaps; at most `limit` extents, so perhaps not to its end.
  public func extents(offset: UInt64, length: UInt64, limit: Int = 256) -> [Extent] {
    let end = offset < config.size ? offset + min(length, config.size - offset) : offset
    var extents: [Extent] = []
    var at = offset
    var index = config.firstBlock(from: offset / ImageConfig.blockSize * ImageConfig.blockSize)
    while at < end && extents.count < limit {
      let start = at
      let isData = index < config.blocks.count && config.blocks[index].offset <= at
      if isData {
        while index < config.blocks.count, config.blocks[index].offset <= at, at < end {
          let block = config.blocks[index].offset
          at = block + UInt64(config.blockLength(at: block))
          index += 1
        }
      } else {
        at = index < config.blocks.count ? config.blocks[index].offset : end
      }
      at = min(at, end)
      extents.append(Extent(offset: start, length: at - start, isData: isData))
    }
    return extents
  }

  /// 32 bytes for each block, holes included, as an image has them beside it. Nil where the backup has no checksum of the
  /// whole, which the list is worth nothing without.
  public func blockHashes() -> [UInt8]? {
    guard !config.checksum.isEmpty else { return nil }
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
    try lock?.checkFailure()
    guard offset <= config.size, UInt64(buffer.count) <= config.size - offset else {
      throw StoreError(
        .invalid, "\(buffer.count) bytes at offset \(offset) reach beyond the \(config.size) bytes of \(url)")
    }
    if try readNeighbours(into: buffer, at: offset) { return }
    var done = 0
    while done < buffer.count {
      let at = offset + UInt64(done)
      let start = at / ImageConfig.blockSize * ImageConfig.blockSize
      let length = config.blockLength(at: start)
      let within = Int(at - start)
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: buffer[done..<(done + min(length - within, buffer.count - done))])
      if let name = config.block(at: start) {
        try read(BlockEntry(offset: start, name: name), length: length, from: within, into: piece)
      } else {
        piece.initializeMemory(as: UInt8.self, repeating: 0)
      }
      done += piece.count
    }
  }

  /// False, with nothing done, where the range is not a run of several whole blocks.
  private func readNeighbours(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StoreError) -> Bool {
    let end = offset + UInt64(buffer.count)
    guard buffer.count > Int(ImageConfig.blockSize), offset % ImageConfig.blockSize == 0,
      end % ImageConfig.blockSize == 0 || end == config.size
    else { return false }
    let first = config.firstBlock(from: offset)
    let count = (buffer.count + Int(ImageConfig.blockSize) - 1) / Int(ImageConfig.blockSize)
    guard first + count <= config.blocks.count else { return false }
    let entries = config.blocks[first..<(first + count)]
    // In ascending order, so all between are there.
    guard entries.first?.offset == offset, entries.last?.offset == offset + UInt64(count - 1) * ImageConfig.blockSize
    else { return false }
    try underLock { () throws(StoreError) in try reader.read(entries, into: buffer) }
    return true
  }

  private func read(
    _ entry: BlockEntry, length: Int, from start: Int, into output: UnsafeMutableRawBufferPointer
  ) throws(StoreError) {
    try underLock { () throws(StoreError) in try reader.read(entry, length: length, from: start, into: output) }
  }

  /// Does it again under the lock where something was missing or bad before it was held.
  private func underLock(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let wasSettled = lock?.isSettled ?? true
    do throws(StoreError) { try body() } catch
      where !wasSettled && (error.code == .missingBlock || error.code == .badBlock)
    {
      // Somebody may have been deleting it, and have made the backup anew.
      try lock?.settled()
      guard try store.completeImage(url) == config else {
        throw StoreError(
          .sourceChanged, "\(url) was replaced while it was opened", hint: "the restore begins anew", retry: .transient)
      }
      try body()
    }
  }

  public func close() { lock?.close() }
}
