import StageKit
import VolumeStore

/// A volume that is being restored, as a device to write. What is left absent shows the image.
final class RestoredVolume: Device {
  private let restoration: VolumeRestoration

  init(_ restoration: VolumeRestoration) { self.restoration = restoration }

  func info() throws -> DeviceInfo {
    DeviceInfo(
      size: restoration.size, blockMin: UInt32(Volume.sectorSize), blockPreferred: 2 << 20,
      flags: [.writable, .takesAbsent], identity: restoration.identifier)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try asStageError { try restoration.read(into: buffer, at: offset) }
    return buffer.count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try asStageError { try restoration.write(buffer, at: offset) }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    try asStageError { try restoration.zero(offset: offset, length: length) }
  }

  func flush() throws { try asStageError { try restoration.flush() } }

  func checkpoint(offset: UInt64) throws -> [UInt8]? { Array(restoration.identifier.utf8) }

  func commit(_ commit: Commit) throws {
    guard commit.size == restoration.size else {
      throw StageError(
        "bad-size", "the backup has \(commit.size) bytes, but the volume was to have \(restoration.size)")
    }
    try asStageError { try restoration.commit() }
  }
}
