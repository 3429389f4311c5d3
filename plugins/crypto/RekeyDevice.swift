import DiskImage
import LUKS
import OpenSSL
import StageKit

/// An image whose first bytes come from another header. The rest is offered to the kernel as it lies there.
final class RekeyDevice: Device {
  private let lower: any Device
  private let header: HeaderFile
  private let length: UInt64
  private let identity: String

  init(over lower: any Device, _ header: HeaderFile) throws {
    self.lower = lower
    self.header = header
    length = header.header.length
    var bytes = [UInt8](repeating: 0, count: Int(length))
    try bytes.withUnsafeMutableBytes { try header.read(into: $0, at: 0) }
    identity = "rekeyed \(hexadecimal(bytes.withUnsafeBytes { SHA256.hash($0) }))"
  }

  func info() throws -> DeviceInfo {
    let below = try lower.info()
    return DeviceInfo(
      size: below.size, dataSize: below.dataSize.map { min($0 + length, below.size ?? $0) },
      blockPreferred: below.blockPreferred, flags: below.flags.intersection(.noExtents), identity: identity)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    guard offset < self.length else { return try lower.extents(offset: offset, length: length) }
    return [Extent(offset: offset, length: min(length, self.length - offset), kind: .data)]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let own = Int(min(UInt64(buffer.count), length - min(length, offset)))
    if own > 0 { try header.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<own]), at: offset) }
    if own < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[own...])
      try lower.readAll(into: rest, at: offset + UInt64(own))
    }
    return buffer.count
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    offset < self.length ? nil : try lower.fileRange(offset: offset, length: length)
  }
}
