import Synchronization

/// The blocks of one backup as a disk to read, holes as zeros. Every block is checked against its name. From many threads
/// at once.
final class BlockDisk: Sendable {
  let map: BlockMap
  private let reader: BlockReader
  private let cache: BlockCache?
  private let lock: PendingLock?
  /// Whether the backup is what it was when it was opened.
  private let isSame: @Sendable () throws(StoreError) -> Bool
  private let onLoss: (@Sendable (Loss) -> Void)?
  /// Offsets of blocks that were told to be lost.
  private let lost = Mutex<Set<UInt64>>([])

  /// - Parameters:
  ///   - lock: The backup's; closing it is the caller's.
  ///   - isSame: Whether the backup is what it was when it was opened; asked where a block can't be read.
  init(
    _ map: BlockMap, _ store: any ObjectStore, _ pool: BlockPool, _ options: ReadOptions, _ lock: PendingLock?,
    isSame: @escaping @Sendable () throws(StoreError) -> Bool
  ) {
    self.map = map
    self.lock = lock
    self.isSame = isSame
    reader = BlockReader(store, pool)
    onLoss = options.onLoss
    cache = options.cacheBytes > 0 ? BlockCache(reader, map, capacity: options.cacheBytes) : nil
  }

  /// The range lies on the disk.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StoreError) {
    try lock?.checkFailure()
    if try readNeighbours(into: buffer, at: offset) { return }
    var done = 0
    while done < buffer.count {
      let at = offset + UInt64(done)
      let start = at / map.blockSize * map.blockSize
      let within = Int(at - start)
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: buffer[done..<(done + min(map.length(at: start) - within, buffer.count - done))])
      if let index = map.index(at: at) {
        try read(index, from: within, into: piece)
      } else {
        piece.initializeMemory(as: UInt8.self, repeating: 0)
      }
      done += piece.count
    }
  }

  private func read(_ index: Int, from start: Int, into piece: UnsafeMutableRawBufferPointer) throws(StoreError) {
    do throws(StoreError) {
      try readUnderLock(index, from: start, into: piece)
    } catch {
      guard let onLoss, error.isLoss else { throw error }
      piece.initializeMemory(as: UInt8.self, repeating: 0)
      let entry = map.blocks[index]
      if lost.withLock({ $0.insert(entry.offset).inserted }) {
        onLoss(
          Loss(
            offset: entry.offset, length: UInt64(map.length(at: entry.offset)), block: "\(entry.name)",
            reason: error.code.reason))
      }
    }
  }

  /// False, with nothing done that counts, where the range is not a run of several whole blocks, or not all of them can be
  /// had.
  private func readNeighbours(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StoreError) -> Bool {
    let end = offset + UInt64(buffer.count)
    guard cache == nil, UInt64(buffer.count) > map.blockSize, offset % map.blockSize == 0,
      end % map.blockSize == 0 || end == map.size
    else { return false }
    let first = map.firstBlock(from: offset)
    let count = (buffer.count + Int(map.blockSize) - 1) / Int(map.blockSize)
    guard first + count <= map.blocks.count else { return false }
    let entries = map.blocks[first..<(first + count)]
    // In ascending order, so all between are there.
    guard entries.first?.offset == offset, entries.last?.offset == offset + UInt64(count - 1) * map.blockSize
    else { return false }
    do throws(StoreError) {
      try underLock { () throws(StoreError) in try reader.read(entries, into: buffer) }
      return true
    } catch {
      // One by one, each lost one is told by itself.
      guard onLoss != nil, error.isLoss else { throw error }
      return false
    }
  }

  private func readUnderLock(
    _ index: Int, from start: Int, into piece: UnsafeMutableRawBufferPointer
  ) throws(StoreError) {
    try underLock { () throws(StoreError) in try readBlock(index, from: start, into: piece) }
  }

  /// A block that is missing or bad is only believed to be once the lock is there: somebody may have been deleting it, and
  /// have made the backup anew.
  private func underLock(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let wasSettled = lock?.isSettled ?? true
    do throws(StoreError) {
      try body()
    } catch {
      guard !wasSettled, error.isLoss else { throw error }
      try lock?.settled()
      guard try isSame() else {
        throw StoreError(
          .sourceChanged, "the backup was replaced while it was opened: \(error.message)",
          hint: "the restore begins anew", retry: .transient)
      }
      try body()
    }
  }

  private func readBlock(_ index: Int, from start: Int, into piece: UnsafeMutableRawBufferPointer) throws(StoreError) {
    if let cache { return try cache.read(index, from: start, into: piece) }
    let entry = map.blocks[index]
    try reader.read(entry, length: map.length(at: entry.offset), from: start, into: piece)
  }

  /// Ends what reads ahead. Nothing may be read any more.
  func close() { cache?.close() }
}

extension StoreError.Code {
  /// Of a loss, for people and for scripts.
  fileprivate var reason: String { self == .missingBlock ? "missing" : "bad" }
}
