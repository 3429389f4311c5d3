import Glibc

enum Zeros {
  /// A mebibyte of zeros, for whoever must write or hash them. Never written.
  nonisolated(unsafe) static let page: UnsafeRawBufferPointer = {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return UnsafeRawBufferPointer(buffer)
  }()

  /// Whether all bytes are zero. Stops at the first that is not.
  static func fill(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
    // A buffer that begins with zero and equals itself, moved by one byte, is all zeros.
    let first = bytes.prefix(64).allSatisfy { $0 == 0 }
    return first && (bytes.count <= 64 || memcmp(base, base + 64, bytes.count - 64) == 0)
  }
}
