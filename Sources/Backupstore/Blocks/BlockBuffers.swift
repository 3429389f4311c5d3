import Compression
import Synchronization

/// Buffers for blocks, kept for the next caller. As many sets as there are callers at once.
final class BlockBuffers: Sendable {
  private let free = Mutex<[BlockBuffer]>([])

  /// Lends a set to `body`, on the calling thread.
  func with<R>(_ body: (BlockBuffer) throws(StoreError) -> R) throws(StoreError) -> R {
    let buffer = free.withLock { $0.popLast() } ?? BlockBuffer()
    defer { free.withLock { $0.append(buffer) } }
    return try body(buffer)
  }
}

/// What one thread needs to pack or unpack a block.
final class BlockBuffer: @unchecked Sendable {
  // Sendable: between leaving `BlockBuffers` and coming back it belongs to one thread.
  static let blockSize = Int(ImageConfig.blockSize)
  /// Longest object that is taken for a block: what a poor packer may make of one, with room to spare.
  static let longestObject = 2 * blockSize

  let codec = BlockCodec(maximumBlock: blockSize)
  /// One block, unpacked.
  let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 4096)
  /// One object as it is stored.
  let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: longestObject, alignment: 4096)

  deinit {
    plain.deallocate()
    stored.deallocate()
  }
}
