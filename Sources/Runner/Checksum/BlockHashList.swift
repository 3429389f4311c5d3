import CDroverPlugin
import OpenSSL

/// Collects the hash of each 2 MiB of bytes that come in order.
struct BlockHashList: ~Copyable {
  static let block = Int(DROVER_HASH_BLOCK)
  /// Of a whole block of zeros: hashed once a process.
  static let ofZeros: [UInt8] = {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 4096)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return BlockHash.hash(UnsafeRawBufferPointer(buffer))
  }()

  private var hashes: [UInt8] = []
  private var partial = SHA512()
  /// Bytes of the block that is not complete.
  private var filled = 0

  /// Hashes of the whole blocks in `bytes`, where it begins at a block; nil where it does not, or has none.
  static func whole(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt8]? {
    guard offset % UInt64(block) == 0, bytes.count >= block else { return nil }
    return BlockHash.hashes(
      of: UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / block * block)]), block: block)
  }

  /// - Parameter ready: What `whole` answered for these bytes.
  mutating func add(_ bytes: UnsafeRawBufferPointer, ready: [UInt8]? = nil) {
    var rest = bytes[...]
    if filled == 0, let ready {
      hashes += ready
      rest = rest.dropFirst(ready.count / BlockHash.length * Self.block)
    }
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.block - filled))
      rest = rest.dropFirst(piece.count)
      if filled == 0, piece.count == Self.block {
        hashes += BlockHash.hash(piece)
      } else {
        partial.update(piece)
        filled += piece.count
        if filled == Self.block { complete() }
      }
    }
  }

  mutating func addZeros(_ count: UInt64) {
    var rest = count
    while rest > 0 {
      if filled == 0, rest >= UInt64(Self.block) {
        hashes += Self.ofZeros
        rest -= UInt64(Self.block)
      } else {
        let piece = min(rest, UInt64(Self.block - filled), UInt64(Zeros.page.count))
        add(UnsafeRawBufferPointer(rebasing: Zeros.page[..<Int(piece)]))
        rest -= piece
      }
    }
  }

  private mutating func complete() {
    let done = partial.copyState()
    partial = SHA512()
    filled = 0
    hashes += done.finish().prefix(BlockHash.length)
  }

  /// The list; the last block may have been short.
  consuming func finish() -> [UInt8] {
    if filled > 0 { complete() }
    return hashes
  }
}
