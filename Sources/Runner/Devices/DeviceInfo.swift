import CDroverPlugin
import DroverModel

/// What a device said of itself, checked. Sizes are bytes.
struct DeviceInfo: @unchecked Sendable {
  // Sendable: `blockHashes` points to memory that the device promised not to change until it is closed.

  /// Nil: not known.
  var size: UInt64?
  var dataSize: UInt64?
  var blockMin: UInt64 = 1
  /// 0: no preference.
  var blockPreferred: UInt64 = 0
  /// 0: no limit.
  var blockMax: UInt64 = 0
  var flags: UInt32 = 0
  var identity: String?
  /// 128 lower-case hexadecimal digits.
  var sha512: String?
  /// The device's own memory, valid until it is closed.
  var blockHashes: UnsafeRawBufferPointer?

  var isWritable: Bool { flags & DROVER_DEVICE_WRITABLE != 0 }
  var isSequential: Bool { flags & DROVER_DEVICE_SEQUENTIAL != 0 }
  var takesAbsent: Bool { flags & DROVER_DEVICE_TAKES_ABSENT != 0 }
  var isImageFile: Bool { flags & DROVER_DEVICE_IMAGE_FILE != 0 }
  var checksHashes: Bool { flags & DROVER_DEVICE_CHECKS_HASHES != 0 }
  var lacksExtents: Bool { flags & DROVER_DEVICE_NO_EXTENTS != 0 }
}

extension DeviceInfo {
  /// - Throws: Fault `plugin-misbehaved` where fields contradict each other or the role that the device was opened in.
  init(_ info: drover_device_info, of stage: LoadedStage, writable: Bool) throws(Fault) {
    func lie(_ what: String) -> Fault { .misbehaved(stage, "info", what) }
    if info.size != .max {
      guard info.size <= UInt64(Int64.max) else { throw lie("size is \(info.size)") }
      size = info.size
    }
    if info.data_size != .max, let size {
      guard info.data_size <= size else {
        throw lie("data_size is \(info.data_size), more than the size of \(size)")
      }
      dataSize = info.data_size
    }
    guard info.block_min >= 1 else { throw lie("block_min is 0") }
    guard info.block_preferred % info.block_min == 0 else {
      throw lie("block_preferred is \(info.block_preferred), no multiple of block_min \(info.block_min)")
    }
    guard info.block_max == 0 || info.block_max >= max(info.block_min, info.block_preferred) else {
      throw lie(
        "block_max is \(info.block_max), less than block_min \(info.block_min) or block_preferred "
          + "\(info.block_preferred)")
    }
    blockMin = UInt64(info.block_min)
    blockPreferred = UInt64(info.block_preferred)
    blockMax = UInt64(info.block_max) / blockMin * blockMin
    flags = info.flags
    if writable {
      guard isWritable else { throw lie("it was opened to be written, but flags do not say WRITABLE") }
    } else if size == nil, !isSequential {
      throw lie("size is unknown, which only a SEQUENTIAL source may say")
    }
    identity = String(plugin: info.identity, limit: 4096)
    if let text = String(plugin: info.sha512, limit: 200) {
      let isHexadecimal = text.utf8.allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
      guard text.utf8.count == 128, isHexadecimal else { throw lie("sha512 is not 128 hexadecimal digits") }
      sha512 = text.lowercased()
    }
    if let hashes = info.block_hashes, let size {
      let expected = (size + UInt64(DROVER_HASH_BLOCK) - 1) / UInt64(DROVER_HASH_BLOCK)
      guard info.block_hash_count == expected else {
        throw lie("block_hash_count is \(info.block_hash_count), but a size of \(size) has \(expected) blocks")
      }
      blockHashes = UnsafeRawBufferPointer(start: hashes, count: Int(expected) * Int(DROVER_HASH_LENGTH))
    }
  }
}
