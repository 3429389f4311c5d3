private import CZstd

/// Zstandard frames (RFC 8878), one after another, unpacked whole: so the window that a frame asks for takes no memory.
@safe final class ZstdFrames {
  private let unpacker: OpaquePointer

  init() {
    guard let unpacker = unsafe ZSTD_createDCtx() else { fatalError("libzstd has no memory for its context") }
    unsafe self.unpacker = unpacker
  }

  deinit { _ = unsafe ZSTD_freeDCtx(unpacker) }

  func unpack(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    var read = 0
    var filled = 0
    while filled < output.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: stored[read...])
      let room = unsafe UnsafeMutableRawBufferPointer(rebasing: output[filled...])
      guard rest.count > 0 else { throw CompressionError(method: "zstd", reason: "cut off") }
      let length = try unsafe checked(ZSTD_findFrameCompressedSize(rest.baseAddress, rest.count))
      filled += try unsafe checked(
        ZSTD_decompressDCtx(unpacker, room.baseAddress, room.count, rest.baseAddress, length))
      read += length
    }
  }

  private func checked(_ result: Int) throws(CompressionError) -> Int {
    guard ZSTD_isError(result) == 0 else {
      throw CompressionError(method: "zstd", reason: unsafe String(cString: ZSTD_getErrorName(result)))
    }
    return result
  }
}
