import StageKit

extension Device {
  /// The size of a device that can be read in any order.
  func seekableSize() throws -> UInt64 {
    let info = try info()
    guard let size = info.size, !info.flags.contains(.sequential) else {
      throw StageError("not-supported", "a LUKS header can only be read where any place can be read, in any order")
    }
    return size
  }

  /// Fills the buffer, or throws.
  func readAll(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let count = try read(into: buffer, at: offset)
    guard count == buffer.count else {
      throw StageError(
        "source-changed", "the image ended at byte \(offset + UInt64(count)) while it was read", retry: .transient)
    }
  }
}
