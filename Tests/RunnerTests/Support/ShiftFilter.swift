import CDroverPlugin
import Synchronization

/// A filter like an encryption: a header first, then every byte changed. Uses the device below through the C ABI.
final class ShiftFilter: FakeDevice, @unchecked Sendable {
  // Sendable: the lower device bears many threads, and the rest never changes.
  static let header = 4096
  static let mask: UInt8 = 0x5A
  private let lower: drover_device
  private let writable: Bool
  /// Writes the header a second time with each flush.
  var rewritesHeader = false

  init(_ open: drover_open) throws {
    lower = open.lower!.pointee
    writable = open.writable != 0
    super.init()
    blockPreferred = 4096
    var below = drover_device_info()
    below.struct_size = MemoryLayout<drover_device_info>.size
    try calling { lower.ops.pointee.info!(lower.handle, &below, $0) }
    if writable {
      flags = DROVER_DEVICE_WRITABLE
      if open.checkpoint == nil { try writeHeader(1) }
    } else {
      size = below.size - UInt64(Self.header)
    }
  }

  static func expected(_ plain: [UInt8], headerByte: UInt8 = 1) -> [UInt8] {
    [UInt8](repeating: headerByte, count: header) + plain.map { $0 ^ mask }
  }

  private func writeHeader(_ byte: UInt8) throws {
    let header = [UInt8](repeating: byte, count: Self.header)
    try header.withUnsafeBytes { bytes in
      try calling { lower.ops.pointee.pwrite!(lower.handle, bytes.baseAddress, UInt64(bytes.count), 0, $0) }
    }
  }

  private func calling(_ function: (UnsafeMutablePointer<drover_error>) -> some BinaryInteger) throws {
    var error = drover_error()
    error.struct_size = MemoryLayout<drover_error>.size
    guard function(&error) < 0 else { return }
    throw withUnsafeBytes(of: error.message) { message in
      withUnsafeBytes(of: error.code) { code in
        FakeFailure(
          code: String(decoding: code.prefix { $0 != 0 }, as: UTF8.self),
          message: String(decoding: message.prefix { $0 != 0 }, as: UTF8.self), retry: error.retry)
      }
    }
  }

  override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
    try calling {
      lower.ops.pointee.pread!(
        lower.handle, buffer.baseAddress, UInt64(buffer.count), offset + UInt64(Self.header), $0)
    }
    for index in buffer.indices { buffer[index] ^= Self.mask }
    return Int64(buffer.count)
  }

  override func write(_ buffer: UnsafeRawBufferPointer, _ offset: UInt64) throws {
    let changed = buffer.map { $0 ^ Self.mask }
    try changed.withUnsafeBytes { bytes in
      try calling {
        lower.ops.pointee.pwrite!(
          lower.handle, bytes.baseAddress, UInt64(bytes.count), offset + UInt64(Self.header), $0)
      }
    }
  }

  override func zero(_ offset: UInt64, _ length: UInt64) throws {
    let zeros = [UInt8](repeating: 0, count: Int(length))
    try zeros.withUnsafeBytes { try write($0, offset) }
  }

  override func flush() throws {
    if rewritesHeader { try writeHeader(2) }
    try calling { lower.ops.pointee.flush!(lower.handle, $0) }
  }

  override func checkpoint(_ offset: UInt64) throws -> [UInt8] { [7] }
}
