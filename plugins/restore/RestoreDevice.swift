import Backupstore
import StageKit

/// An image's backup as a device to read.
final class RestoreDevice: Device {
  private let restore: ImageRestore

  private let blockHashes: [UInt8]?

  init(_ restore: ImageRestore) {
    self.restore = restore
    blockHashes = restore.blockHashes()
  }

  func info() -> DeviceInfo {
    DeviceInfo(
      size: restore.config.size, dataSize: restore.config.dataSize, blockMin: 1,
      blockPreferred: UInt32(ImageConfig.blockSize), identity: restore.identity,
      sha512: restore.config.checksum.isEmpty ? nil : restore.config.checksum, blockHashes: blockHashes)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    restore.extents(offset: offset, length: length).map {
      Extent(offset: $0.offset, length: $0.length, kind: $0.isData ? .data : .zero)
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try restore.read(into: buffer, at: offset)
    return buffer.count
  }

  func close() { restore.close() }
}
