import Backupstore
import StageKit
import StoreStage

/// An image's backup as a device to write.
final class BackupDevice: Device {
  private let backup: ImageBackup
  private let host: any Host

  init(_ backup: ImageBackup, host: any Host) {
    self.backup = backup
    self.host = host
  }

  func info() -> DeviceInfo {
    let block = UInt32(ImageConfig.blockSize)
    return DeviceInfo(
      size: backup.size, blockMin: block, blockPreferred: block,
      flags: [.writable, .startsZero, .checksHashes], identity: backup.name)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws { try backup.write(buffer, at: offset) }
  func zero(offset: UInt64, length: UInt64) throws { try backup.zero(offset: offset, length: length) }
  func flush() throws { try backup.flush() }
  func checkpoint(offset: UInt64) throws -> [UInt8]? { try backup.checkpoint(offset: offset) }

  func commit(_ commit: Commit) throws {
    let result = try backup.commit(size: commit.size, checksum: commit.sha512)
    try host.emit("result", BackupRecord(result))
  }

  func close() { backup.close() }
}
