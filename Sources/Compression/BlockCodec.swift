/// Packs and unpacks blocks, one at a time, into buffers that it keeps. One owner; not for two threads at once.
@safe public final class BlockCodec {
  /// Longest block that it packs, in bytes.
  public let maximumBlock: Int
  private let packed: UnsafeMutableRawBufferPointer
  private let lz4 = LZ4Frame()
  private let gzip = GzipMember()

  public init(maximumBlock: Int) {
    self.maximumBlock = maximumBlock
    let bound = max(LZ4Frame.bound(maximumBlock), GzipMember.bound(maximumBlock))
    unsafe packed = .allocate(byteCount: bound, alignment: 4096)
  }

  deinit { unsafe packed.deallocate() }

  /// The stored form of `block`, valid until the next call and, for `none`, as long as `block` itself is.
  public func pack(_ block: UnsafeRawBufferPointer, _ method: CompressionMethod) -> UnsafeRawBufferPointer {
    precondition(block.count <= maximumBlock, "block of \(block.count) bytes, but at most \(maximumBlock)")
    switch method {
    case .none: return unsafe block
    case .gzip: return unsafe UnsafeRawBufferPointer(rebasing: packed[..<gzip.pack(block, into: packed)])
    case .lz4: return unsafe UnsafeRawBufferPointer(rebasing: packed[..<lz4.pack(block, into: packed)])
    }
  }

  /// Unpacks `stored` into the beginning of `output` and returns how many bytes came out, never more than fit. Bytes
  /// after the end of the member or frame are not looked at. What was written before an error stays in `output`.
  public func unpack(
    _ stored: UnsafeRawBufferPointer, _ method: CompressionMethod, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    switch method {
    case .none:
      guard stored.count <= output.count else {
        throw CompressionError(method: .none, reason: "\(stored.count) bytes, but at most \(output.count) may come")
      }
      unsafe output.copyMemory(from: stored)
      return stored.count
    case .gzip: return unsafe try gzip.unpack(stored, into: output)
    case .lz4: return unsafe try lz4.unpack(stored, into: output)
    }
  }
}
