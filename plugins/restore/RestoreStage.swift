import Backupstore
import StageKit
import StoreStage

/// `restore`: a backup of an image or a volume in a Longhorn store, read as a disk.
enum RestoreStage: Stage {
  static let name = "restore"
  static let summary = "read the backup of an image or a volume in a Longhorn backupstore"
  static let roles: Roles = .source
  static let parallel = true
  static let params: [String: Parameter]? = RestoreParams.descriptions

  /// How the stage keeps its locks. Only a test has another.
  @TaskLocal static var timing = LockTiming.longhorn

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try RestoreParams(request)
    let store = try request.openStore(params.target)
    switch params.backup {
    case .image(let url):
      let config = try store.completeImage(url)
      let lock = "images in \(url.target)"
      // How large the guest's disk is only opening can tell.
      return params.view == .guest
        ? Plan(lock: lock) : Plan(size: config.size, dataSize: config.dataSize, lock: lock)
    case .volume(let url):
      let (volume, backup) = try store.completeVolumeBackup(url)
      var data = min(volume.size, UInt64(backup.blocks.count) * backup.blockSize)
      if params.view != .blocks, let base = base(of: volume, in: url.target) {
        do {
          let config = try store.completeImage(base)
          try check(config, isBaseOf: volume)
          data = min(volume.size, data + config.dataSize)
        } catch {
          guard params.salvage else { throw error }
        }
      }
      return Plan(size: volume.size, dataSize: data, lock: "volume \(url.volume) in \(url.target)")
    }
  }

  static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    try Opening(RestoreParams(request), request, host).device()
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    let params = try RestoreParams(request)
    let store = try request.openStore(params.target)
    try imageJournal(request).removeLocks(from: store)
    try volumeJournal(request).removeLocks(from: store)
  }

  static func imageJournal(_ request: OpenRequest) -> LockJournal {
    LockJournal(path: "\(request.jobFolder)/restore.locks")
  }

  static func volumeJournal(_ request: OpenRequest) -> LockJournal {
    LockJournal(path: "\(request.jobFolder)/restore.volume.locks")
  }

  /// Where the backup of a volume's backing image is: beside the volume's. Nil for a volume without one.
  static func base(of volume: VolumeConfig, in target: StoreURL) -> ImageBackupURL? {
    volume.backingImageName.isEmpty ? nil : ImageBackupURL(target: target, name: volume.backingImageName)
  }

  /// Another image of the same name would give garbage.
  static func check(_ image: ImageConfig, isBaseOf volume: VolumeConfig) throws(StoreError) {
    let wanted = volume.backingImageChecksum
    guard !wanted.isEmpty, !image.checksum.isEmpty, wanted != image.checksum else { return }
    throw StoreError(
      .checksumMismatch,
      "volume \(volume.name) lies over an image \(image.name) with SHA-512 \(wanted.prefix(16))…, but the one in the store "
        + "has \(image.checksum.prefix(16))…",
      hint: "the store holds another image of that name; the volume can't be restored without its own")
  }
}
