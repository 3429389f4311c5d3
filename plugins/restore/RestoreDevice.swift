import Backupstore
import StageKit

/// A backup as a device to read.
final class RestoreDevice: Device {
  private let view: any DiskView
  /// Of all bytes, 128 hexadecimal digits, where the backup says it.
  private let checksum: String?
  /// 32 bytes for each 2 MiB; only with a checksum.
  private let blockHashes: [UInt8]?
  /// Whether what is no data is for somebody else to say.
  private let leavesHoles: Bool

  init(_ view: any DiskView, checksum: String? = nil, blockHashes: [UInt8]? = nil, leavesHoles: Bool = false) {
    self.view = view
    self.checksum = checksum
    self.blockHashes = checksum == nil ? nil : blockHashes
    self.leavesHoles = leavesHoles
  }

  func info() -> DeviceInfo {
    DeviceInfo(
      size: view.size, dataSize: view.dataSize, blockMin: 1, blockPreferred: UInt32(view.blockSize),
      identity: view.identity, sha512: checksum, blockHashes: blockHashes)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try view.extents(offset: offset, length: length).map {
      Extent(offset: $0.offset, length: $0.length, kind: $0.isData ? .data : leavesHoles ? .absent : .zero)
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try view.read(into: buffer, at: offset)
    return buffer.count
  }

  func close() { view.close() }
}
