private import CZlib

/// Deflate's blocks (RFC 1951) without a header or a checksum around them.
@safe final class RawDeflate {
  private let unpacker: UnsafeMutablePointer<z_stream>

  init() {
    unsafe unpacker = .allocate(capacity: 1)
    unsafe unpacker.initialize(to: z_stream())
    guard unsafe czlib_inflate_raw(unpacker) == Z_OK else { fatalError("zlib has no memory for its stream") }
  }

  deinit {
    unsafe inflateEnd(unpacker)
    unsafe unpacker.deallocate()
  }

  /// A stream that would give more than `output` holds is good as far as it is asked for.
  func unpack(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    unsafe inflateReset(unpacker)
    unsafe unpacker.pointee.next_in = UnsafeMutablePointer(mutating: stored.bindMemory(to: UInt8.self).baseAddress)
    unsafe unpacker.pointee.avail_in = UInt32(stored.count)
    unsafe unpacker.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
    unsafe unpacker.pointee.avail_out = UInt32(output.count)
    let code = unsafe inflate(unpacker, Z_FINISH)
    let missing = unsafe Int(unpacker.pointee.avail_out)
    switch code {
    case Z_STREAM_END where missing == 0, Z_BUF_ERROR where missing == 0: return
    case Z_STREAM_END:
      throw CompressionError(
        method: "deflate", reason: "\(output.count - missing) bytes came out instead of \(output.count)")
    case Z_BUF_ERROR: throw CompressionError(method: "deflate", reason: "cut off")
    default:
      let message = unsafe unpacker.pointee.msg.map { unsafe String(cString: $0) }
      throw CompressionError(method: "deflate", reason: message ?? "code \(code)")
    }
  }
}
