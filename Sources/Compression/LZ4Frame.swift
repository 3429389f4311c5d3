private import CLZ4

/// LZ4 frames as Longhorn's library writes them: independent blocks of at most 4 MiB, a content checksum, no content
/// size, no dictionary; the header is `04 22 4d 18 64 70 b9`. Reads every frame but those with a dictionary.
@safe final class LZ4Frame {
  private let packer: OpaquePointer
  private let unpacker: OpaquePointer

  init() {
    var packer: OpaquePointer?
    var unpacker: OpaquePointer?
    guard unsafe LZ4F_isError(LZ4F_createCompressionContext(&packer, UInt32(LZ4F_VERSION))) == 0,
      unsafe LZ4F_isError(LZ4F_createDecompressionContext(&unpacker, UInt32(LZ4F_VERSION))) == 0,
      let packer = unsafe packer, let unpacker = unsafe unpacker
    else { fatalError("liblz4 has no memory for its contexts") }
    unsafe self.packer = packer
    unsafe self.unpacker = unpacker
  }

  deinit {
    _ = unsafe LZ4F_freeCompressionContext(packer)
    _ = unsafe LZ4F_freeDecompressionContext(unpacker)
  }

  /// Bytes that a packed block of `count` bytes may need.
  static func bound(_ count: Int) -> Int {
    var preferences = preferences
    return unsafe LZ4F_compressBound(count, &preferences) + Int(LZ4F_HEADER_SIZE_MAX)
  }

  func pack(_ block: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
    var preferences = Self.preferences
    var options = LZ4F_compressOptions_t()
    options.stableSrc = 1
    var filled = 0
    func add(_ written: Int) {
      // With `output` as long as `bound` says, only a bug of the caller can make these calls fail.
      guard LZ4F_isError(written) == 0 else {
        fatalError("liblz4 failed to pack: \(unsafe String(cString: LZ4F_getErrorName(written)))")
      }
      filled += written
    }
    func rest() -> UnsafeMutableRawBufferPointer { unsafe UnsafeMutableRawBufferPointer(rebasing: output[filled...]) }
    unsafe add(LZ4F_compressBegin(packer, output.baseAddress, output.count, &preferences))
    unsafe add(
      LZ4F_compressUpdate(packer, rest().baseAddress, rest().count, block.baseAddress, block.count, &options))
    unsafe add(LZ4F_compressEnd(packer, rest().baseAddress, rest().count, &options))
    return filled
  }

  func unpack(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    unsafe LZ4F_resetDecompressionContext(unpacker)
    var options = LZ4F_decompressOptions_t()
    options.stableDst = 1
    // The hash of the whole block is what counts, and it is tested anyway.
    options.skipChecksums = 1
    var read = 0
    var filled = 0
    while true {
      var consumed = stored.count - read
      var produced = output.count - filled
      let hint = unsafe LZ4F_decompress(
        unpacker, output.baseAddress?.advanced(by: filled), &produced, stored.baseAddress?.advanced(by: read),
        &consumed, &options)
      guard LZ4F_isError(hint) == 0 else {
        throw CompressionError(method: .lz4, reason: unsafe String(cString: LZ4F_getErrorName(hint)))
      }
      read += consumed
      filled += produced
      if hint == 0 { return filled }
      if consumed == 0 && produced == 0 {
        let reason = read == stored.count ? "cut off" : "more than \(output.count) bytes came out"
        throw CompressionError(method: .lz4, reason: reason)
      }
    }
  }

  private static var preferences: LZ4F_preferences_t {
    var preferences = LZ4F_preferences_t()
    preferences.frameInfo.blockSizeID = LZ4F_max4MB
    preferences.frameInfo.blockMode = LZ4F_blockIndependent
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
    preferences.autoFlush = 1
    return preferences
  }
}
