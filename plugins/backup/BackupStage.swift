import Backupstore
import Compression
import LinuxSystem
import StageKit
import StoreStage

/// `backup`: the sink that makes a backup of an image or a volume in a Longhorn store.
enum BackupStage: Stage {
  static let name = "backup"
  static let summary = "back up an image or a volume to a Longhorn backupstore"
  static let roles: Roles = .sink
  static let parallel = true
  static let params: [String: Parameter]? = [
    "target": Parameter(
      required: true,
      "URL of the backup target: file:///absolute/folder, s3://BUCKET@REGION/PREFIX or nfs://HOST:/EXPORT/PATH"),
    "name": Parameter(required: true, "name of the image in the store; of a volume's backup, where volume is given"),
    "checksum": Parameter("SHA-512 of the image file, 128 hexadecimal digits"),
    "labels": Parameter("labels of the backup"),
    "compression": Parameter("none, gzip or lz4 (the default)"),
    "secret": Parameter("name of the secret that the image is encrypted with"),
    "secretNamespace": Parameter("namespace of that secret"),
    "create": Parameter("make the target's folder if it is not there"),
    "volume": Parameter("name of the volume in the store that is backed up"),
    "snapshot": Parameter("of the volume: what the backup is of"),
    "base": Parameter("name of the backup that this one builds upon: only what has changed since is given"),
    "baseSnapshot": Parameter("the snapshot that that one is of"),
    "mode": Parameter("full writes blocks that are there once more; incremental is the default"),
    "blockSize": Parameter("bytes of a block: 2097152 (the default) or 16777216"),
    "backingImage": Parameter("name in the store of the image that the volume lies over"),
    "backingImageChecksum": Parameter("SHA-512 of that image's file"),
  ]

  /// How the stage keeps its lock and what it takes for time. Only a test has another.
  @TaskLocal static var timing = LockTiming.longhorn

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    if let params = try VolumeBackupParams(request) { return try plan(params, below) }
    let params = try BackupParams(request)
    // What is not on this host takes no space of it.
    let folder = params.target.isFolder ? nearestFolder(params.target.path) : nil
    var isThere = false
    // A folder that the opening will make has nothing in it.
    if !params.create || !params.target.isFolder || folder == params.target.path {
      let store = try request.openStore(params.target)
      if let size = below?.size {
        isThere = try params.request(size: size, info: nil, request, readSource: { _, _ in }).check(
          at: params.target, in: store)
      }
    }
    return Plan(
      size: below?.size, dataSize: below?.dataSize,
      space: isThere || !params.target.isFolder ? 0 : below?.dataSize ?? below?.size ?? 0,
      spacePath: folder, lock: "images in \(params.target)")
  }

  static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    guard let source = request.source else {
      throw StageError("internal", "the backup sink was opened without the device that it backs up")
    }
    let info = try source.info()
    guard let size = info.size else {
      throw StageError("not-supported", "a source of unknown size can't be backed up")
    }
    let reader = SourceReader(device: source)
    if let params = try VolumeBackupParams(request) {
      let wanted = params.request(size: size, jobFolder: request.jobFolder) { try reader.read(into: $0, at: $1) }
      let session = try session(params.target, create: params.create, request, host)
      return VolumeBackupDevice(try VolumeBackup.open(wanted, at: params.target, session), host: host)
    }
    let params = try BackupParams(request)
    let backup = try ImageBackup.open(
      params.request(size: size, info: info, request) { try reader.read(into: $0, at: $1) }, at: params.target,
      try session(params.target, create: params.create, request, host))
    return BackupDevice(backup, host: host)
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    if let params = try VolumeBackupParams(request) {
      return try VolumeBackup.discard(
        name: params.name, of: params.volume, jobFolder: request.jobFolder,
        try session(params.target, create: params.create, request, host))
    }
    let params = try BackupParams(request)
    try ImageBackup.discard(
      name: params.name, jobFolder: request.jobFolder,
      try session(params.target, create: params.create, request, host))
  }

  private static func plan(_ params: VolumeBackupParams, _ below: Plan?) throws -> Plan {
    if let size = below?.size { try params.request(size: size, jobFolder: "", readSource: { _, _ in }).validate() }
    let folder = params.target.isFolder ? nearestFolder(params.target.path) : nil
    return Plan(
      size: below?.size, dataSize: below?.dataSize,
      space: params.target.isFolder ? below?.dataSize ?? below?.size ?? 0 : 0, spacePath: folder,
      lock: "volume \(params.volume) in \(params.target)")
  }

  private static func session(
    _ target: StoreURL, create: Bool, _ request: OpenRequest, _ host: any Host
  ) throws -> StoreSession {
    StoreSession(
      store: try request.openStore(target, create: create), observer: HostObserver(host: host), timing: timing)
  }

  /// The folder itself, or the one above it that is there.
  private static func nearestFolder(_ path: String) -> String? {
    var path = path
    while (try? FileStatus.of(path))?.isFolder != true {
      if path == "/" { return nil }
      path = Folder.parent(of: path)
    }
    return path
  }
}

/// The top of the reading side, for the blocks that the store lacks.
private final class SourceReader: @unchecked Sendable {
  // Sendable: `read` is the device's own and bears what the device's stage says about threads.
  private let device: any Device

  init(device: any Device) { self.device = device }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard try device.read(into: buffer, at: offset) == buffer.count else {
      throw StageError("source-changed", "the image ended at less than \(offset + UInt64(buffer.count)) bytes")
    }
  }
}
