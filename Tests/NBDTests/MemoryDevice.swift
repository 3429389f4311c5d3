import NBD
import Synchronization
import TestKit

/// Bytes in memory, of which aligned blocks of zeros count as holes.
final class MemoryDevice: NBDDevice {
  static let block = 64 << 10
  private let content: Mutex<[UInt8]>
  let isWritable: Bool
  let flushes = Atomic(0)
  let failure = Mutex<NBDError?>(nil)

  /// Noise, holes and noise again.
  init(blocks: Int = 40, isWritable: Bool = false, tail: Int = 512) {
    var noise = Noise(seed: 5)
    var bytes: [UInt8] = []
    for index in 0..<blocks {
      bytes += index % 5 < 2 ? noise.bytes(Self.block) : [UInt8](repeating: 0, count: Self.block)
    }
    bytes += noise.bytes(tail)
    content = Mutex(bytes)
    self.isWritable = isWritable
  }

  var bytes: [UInt8] { content.withLock { $0 } }
  var size: UInt64 { content.withLock { UInt64($0.count) } }
  var preferredBlock: UInt32 { 65536 }

  private func check() throws { if let failure = failure.withLock({ $0 }) { throw failure } }

  func extents(offset: UInt64, length: UInt64) throws -> [NBDExtent] {
    try check()
    return content.withLock { bytes in
      var found: [NBDExtent] = []
      var at = Int(offset)
      let end = Int(offset + length)
      while at < end, found.count < 3 {
        let limit = min((at / Self.block + 1) * Self.block, end)
        let isHole = bytes[at..<limit].allSatisfy { $0 == 0 }
        found.append(NBDExtent(offset: UInt64(at), length: UInt64(limit - at), isHole: isHole))
        at = limit
      }
      return found
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try check()
    content.withLock { buffer.copyBytes(from: $0[Int(offset)..<(Int(offset) + buffer.count)]) }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try check()
    content.withLock { $0.replaceSubrange(Int(offset)..<(Int(offset) + buffer.count), with: buffer) }
  }

  func zero(offset: UInt64, length: UInt64, keepingSpace: Bool) throws {
    try check()
    content.withLock {
      $0.replaceSubrange(
        Int(offset)..<Int(offset + length), with: repeatElement(0, count: Int(length)))
    }
  }

  func trim(offset: UInt64, length: UInt64) throws { try zero(offset: offset, length: length, keepingSpace: false) }

  func flush() throws {
    try check()
    flushes.add(1, ordering: .relaxed)
  }
}
