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
      if params.view != .blocks {
        do {
          if let image = try store.completeBase(of: volume) { data = min(volume.size, data + image.dataSize) }
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
}
