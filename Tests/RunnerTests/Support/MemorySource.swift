import CDroverPlugin
import Synchronization

/// A source over bytes in memory, with extents of the test's choice.
final class MemorySource: FakeDevice, @unchecked Sendable {
  // Sendable: `bytes` and `map` never change.
  let bytes: [UInt8]
  /// In order, without gaps, over all bytes; nil: everything is data.
  let map: [drover_extent]?
  private let position = Mutex<UInt64?>(nil)

  init(_ bytes: [UInt8], map: [drover_extent]? = nil) {
    self.bytes = bytes
    self.map = map
    super.init()
    size = UInt64(bytes.count)
    identity = "bytes-\(bytes.count)"
  }

  override func extents(
    _ offset: UInt64, _ length: UInt64, _ room: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int64 {
    guard let map else { return try super.extents(offset, length, room) }
    var count = 0
    for extent in map where extent.offset + extent.length > offset && extent.offset < offset + length {
      guard count < room.count else { break }
      let begin = max(extent.offset, offset)
      let end = min(extent.offset + extent.length, offset + length)
      room[count] = drover_extent(offset: begin, length: end - begin, type: extent.type, reserved: 0)
      count += 1
    }
    return Int64(count)
  }

  override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
    guard offset % UInt64(blockMin) == 0, blockMax == 0 || buffer.count <= Int(blockMax) else {
      throw FakeFailure(code: "internal", message: "bad block at \(offset), \(buffer.count) bytes")
    }
    if flags & DROVER_DEVICE_SEQUENTIAL != 0 {
      try position.withLock { position in
        guard position == nil || position == offset else {
          throw FakeFailure(code: "internal", message: "out of order at \(offset)")
        }
        position = offset + UInt64(buffer.count)
      }
    }
    let begin = min(Int(offset), bytes.count)
    let end = min(begin + buffer.count, bytes.count)
    bytes[begin..<end].withUnsafeBytes { buffer.copyMemory(from: $0) }
    return Int64(end - begin)
  }
}
