private import CZlib

/// One gzip member as Go's library writes it at its default level: level 6, no name, no time, operating system 255.
@safe final class GzipMember {
  private static let level: Int32 = 6
  private let packer: UnsafeMutablePointer<z_stream>
  private let unpacker: UnsafeMutablePointer<z_stream>
  private let header: UnsafeMutablePointer<gz_header>

  init() {
    unsafe packer = .allocate(capacity: 1)
    unsafe unpacker = .allocate(capacity: 1)
    unsafe header = .allocate(capacity: 1)
    unsafe packer.initialize(to: z_stream())
    unsafe unpacker.initialize(to: z_stream())
    unsafe header.initialize(to: gz_header())
    unsafe header.pointee.os = 255
    guard unsafe czlib_deflate_gzip(packer, Self.level) == Z_OK, unsafe czlib_inflate_gzip(unpacker) == Z_OK else {
      fatalError("zlib has no memory for its streams")
    }
  }

  deinit {
    unsafe deflateEnd(packer)
    unsafe inflateEnd(unpacker)
    unsafe packer.deallocate()
    unsafe unpacker.deallocate()
    unsafe header.deallocate()
  }

  /// Bytes that a packed block of `count` bytes may need: zlib's own bound for its default memory level, and room
  /// for the member's header and end.
  static func bound(_ count: Int) -> Int { count + count >> 12 + count >> 14 + count >> 25 + 13 + 64 }

  func pack(_ block: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
    unsafe deflateReset(packer)
    unsafe deflateSetHeader(packer, header)
    unsafe packer.pointee.next_in = UnsafeMutablePointer(mutating: block.bindMemory(to: UInt8.self).baseAddress)
    unsafe packer.pointee.avail_in = UInt32(block.count)
    unsafe packer.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
    unsafe packer.pointee.avail_out = UInt32(output.count)
    let code = unsafe deflate(packer, Z_FINISH)
    // With `output` as long as `bound` says, only a bug of the caller can make it fail.
    guard code == Z_STREAM_END else { fatalError("zlib failed to pack: code \(code)") }
    return unsafe output.count - Int(packer.pointee.avail_out)
  }

  func unpack(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    unsafe inflateReset(unpacker)
    unsafe unpacker.pointee.next_in = UnsafeMutablePointer(mutating: stored.bindMemory(to: UInt8.self).baseAddress)
    unsafe unpacker.pointee.avail_in = UInt32(stored.count)
    unsafe unpacker.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
    unsafe unpacker.pointee.avail_out = UInt32(output.count)
    switch unsafe inflate(unpacker, Z_FINISH) {
    case Z_STREAM_END: return unsafe output.count - Int(unpacker.pointee.avail_out)
    case Z_BUF_ERROR where unsafe unpacker.pointee.avail_in == 0:
      throw CompressionError(method: .gzip, reason: "cut off")
    case Z_BUF_ERROR: throw CompressionError(method: .gzip, reason: "more than \(output.count) bytes came out")
    case let code:
      let message = unsafe unpacker.pointee.msg.map { unsafe String(cString: $0) }
      throw CompressionError(method: .gzip, reason: message ?? "code \(code)")
    }
  }
}
