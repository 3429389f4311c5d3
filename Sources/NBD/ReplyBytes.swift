/// The beginning of a reply, big-endian, put together without any memory of its own.
struct ReplyBytes {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  private var count = 0

  init(simple cookie: UInt64, _ error: UInt32) {
    put(Wire.simpleReplyMagic)
    put(error)
    put(cookie)
  }

  /// - Parameter length: Of what follows these 20 bytes.
  init(chunk kind: Wire.Chunk, _ cookie: UInt64, length: Int, isLast: Bool) {
    put(Wire.structuredReplyMagic)
    put(isLast ? Wire.chunkIsLast : 0)
    put(kind.rawValue)
    put(cookie)
    put(UInt32(length))
  }

  /// At most 32 bytes in all.
  mutating func put<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number) {
    withUnsafeMutableBytes(of: &words) { $0.storeBytes(of: number.bigEndian, toByteOffset: count, as: Number.self) }
    count += MemoryLayout<Number>.size
  }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    withUnsafeBytes(of: words) { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }
}
