import Compression
import Synchronization

/// Buffers for blocks, kept for the next caller. As many sets as there are callers at once.
final class BlockBuffers: Sendable {
  private let blockSize: Int
  private let free = Mutex<[BlockBuffer]>([])

  init(blockSize: Int = Int(ImageConfig.blockSize)) { self.blockSize = blockSize }

  /// Lends a set to `body`, on the calling thread.
  func with<R>(_ body: (BlockBuffer) throws(StoreError) -> R) throws(StoreError) -> R {
    let buffer = free.withLock { $0.popLast() } ?? BlockBuffer(blockSize: blockSize)
    defer { free.withLock { $0.append(buffer) } }
    return try body(buffer)
  }
}

/// What one thread needs to pack or unpack a block.
final class BlockBuffer: @unchecked Sendable {
  // Sendable: between leaving `BlockBuffers` and coming back it belongs to one thread.
  let codec: BlockCodec
  /// One block, unpacked.
  let plain: UnsafeMutableRawBufferPointer
  /// One object as it is stored. Longer than any block that a poor packer made bigger, with room to spare; what is longer
  /// still is no block.
  let stored: UnsafeMutableRawBufferPointer

  init(blockSize: Int) {
    codec = BlockCodec(maximumBlock: blockSize)
    plain = .allocate(byteCount: blockSize, alignment: 4096)
    stored = .allocate(byteCount: blockSize + (2 << 20), alignment: 4096)
  }

  deinit {
    plain.deallocate()
    stored.deallocate()
  }
}
