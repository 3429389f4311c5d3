import Backupstore
import StageKit
import StoreStage

/// A volume's backup as a device to write. What is absent is left to the backup that it builds upon, and to the image.
final class VolumeBackupDevice: Device {
  private let backup: VolumeBackup
  private let host: any Host

  init(_ backup: VolumeBackup, host: any Host) {
    self.backup = backup
    self.host = host
  }

  func info() -> DeviceInfo {
    let block = UInt32(backup.blockSize)
    return DeviceInfo(
      size: backup.size, blockMin: block, blockPreferred: block, flags: [.writable, .takesAbsent],
      identity: backup.request.name)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws { try backup.write(buffer, at: offset) }
  func zero(offset: UInt64, length: UInt64) throws { try backup.zero(offset: offset, length: length) }
  func flush() throws { try backup.flush() }

  func commit(_ commit: Commit) throws {
    let result = try backup.commit(size: commit.size)
    try host.emit("result", FoundVolumeRecord(result.url, nil, .success(result.config), result.volume))
  }

  func close() { backup.close() }
}
