import Backupstore
import FoundationEssentials
import LinuxSystem
import StageKit
import StoreStage

/// `sync-target`: what a store holds, as far as it is another thing than was seen at the last look. A target that can't be
/// used is an answer, not a failure.
///
/// What was seen stands in the file `seen` of the job's folder, as JSON of `SeenBackups`. Emits a record `image` or
/// `backup` for each backup of an image or a volume that is new or has changed, and `gone` for each that is not there any
/// more; they hold only if the result says `available`.
enum SyncTargetTask: Stage {
  static let name = "sync-target"
  static let summary = "tell what is new in a backup target"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = [
    "target": Parameter(required: true, "URL of the backup target"),
    "create": Parameter("make the target's folder if it is not there"),
  ]

  private struct Params: Decodable {
    var target: String
    var create: Bool?
  }

  /// JSON of a hundred thousand names.
  private static let longestSeen = 64 << 20

  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    let url = try StoreURL(params.target)
    let seen = try seen(request)
    var failure: (any Error)?
    do throws(StoreError) {
      let store = try request.openStore(url, create: params.create ?? false)
      let summary = try StoreSync(store, observer: HostObserver(host: host)).run(seen) { (finding) throws(StoreError) in
        // What can't be told ends the look; it is thrown below, for it says nothing of the target.
        do { try tell(finding, url, host) } catch {
          failure = error
          throw StoreError(.cancelled, "cancelled")
        }
      }
      try emit(SyncRecord(url, summary), host, &failure)
    } catch {
      if let failure { throw failure }
      guard error.code != .cancelled else { throw error }
      try emit(SyncRecord(url, error), host, &failure)
    }
    if let failure { throw failure }
  }

  private static func emit(_ record: SyncRecord, _ host: any Host, _ failure: inout (any Error)?) throws(StoreError) {
    do { try host.emit("result", record) } catch { failure = error }
  }

  private static func tell(_ finding: StoreSync.Finding, _ target: StoreURL, _ host: any Host) throws {
    switch finding {
    case .image(let name, let version, let config):
      try host.emit("image", FoundImageRecord(ImageBackupURL(target: target, name: name), version, config))
    case .backup(let name, let volume, let version, let config, let image):
      let url = VolumeBackupURL(target: target, volume: volume, backup: name)
      try host.emit("backup", FoundVolumeRecord(url, version, config, image))
    case .goneImage(let image): try host.emit("gone", GoneRecord(backingImage: image))
    case .goneBackup(let name, let volume): try host.emit("gone", GoneRecord(backup: name, volumeName: volume))
    }
  }

  private static func seen(_ request: OpenRequest) throws -> SeenBackups {
    let path = "\(request.jobFolder)/seen"
    guard try FileStatus.of(path) != nil else { return SeenBackups() }
    let bytes = try Folder.readFile(path, limit: longestSeen)
    return try JSONDecoder().decode(SeenBackups.self, from: Data(bytes))
  }
}

/// An image's backup as a look found it: the field names of a BackupBackingImage's status, and the version of its config.
private struct FoundImageRecord: Encodable {
  var backingImage: String
  var version: String
  var url: String
  var state: String
  var error: String?
  var checksum: String?
  var size: UInt64?
  var labels: [String: String]?
  var compressionMethod: String?
  var secret: String?
  var secretNamespace: String?
  var backupCreatedAt: String?

  init(_ url: ImageBackupURL, _ version: String, _ config: Result<ImageConfig, StoreError>) {
    backingImage = url.name
    self.version = version
    self.url = url.description
    switch config {
    case .success(let config):
      state = config.isComplete ? "Completed" : "InProgress"
      error = config.isComplete ? nil : "its maker has not completed it"
      checksum = config.checksum
      size = config.size
      labels = config.labels ?? [:]
      compressionMethod = config.effectiveMethod
      secret = config.secret
      secretNamespace = config.secretNamespace
      backupCreatedAt = config.completeTime.isEmpty ? nil : config.completeTime
    case .failure(let problem):
      state = "Unknown"
      error = problem.message
    }
  }
}

/// A volume's backup as a look found it: the field names of a Backup's status, and the version of its config.
struct FoundVolumeRecord: Encodable {
  var backup: String
  var volumeName: String
  /// Nil where nobody asked.
  var version: String?
  var url: String
  var state: String
  var error: String?
  var snapshotName: String?
  var size: UInt64?
  var newlyUploadDataSize: UInt64?
  var reUploadedDataSize: UInt64?
  var labels: [String: String]?
  var isIncremental: Bool?
  var volumeBackingImageName: String?
  var compressionMethod: String?
  var snapshotCreatedAt: String?
  var backupCreatedAt: String?
  var blockSize: UInt64?
  /// Of the volume, where its config was read as well; `size` is that of the blocks.
  var volumeSize: UInt64?
  var volumeBackingImageChecksum: String?
  /// The same as `size`, which the runner tells of the copy.
  var backupSize: UInt64?

  init(
    _ url: VolumeBackupURL, _ version: String?, _ config: Result<VolumeBackupConfig, StoreError>,
    _ volume: VolumeConfig
  ) {
    let image = volume.backingImageName
    self.init(url, version, config, image.isEmpty ? nil : image)
    volumeSize = volume.size
    volumeBackingImageChecksum = volume.backingImageChecksum.isEmpty ? nil : volume.backingImageChecksum
    backupSize = size
  }

  init(
    _ url: VolumeBackupURL, _ version: String?, _ config: Result<VolumeBackupConfig, StoreError>, _ image: String?
  ) {
    backup = url.backup ?? ""
    volumeName = url.volume
    self.version = version
    self.url = url.description
    volumeBackingImageName = image
    switch config {
    case .success(let config):
      state = config.isComplete ? "Completed" : "InProgress"
      error = config.isComplete ? nil : "its maker has not completed it"
      snapshotName = config.snapshotName.isEmpty ? nil : config.snapshotName
      size = config.size
      newlyUploadDataSize = config.newlyUploadedDataSize
      reUploadedDataSize = config.reUploadedDataSize
      labels = config.labels ?? [:]
      isIncremental = config.isIncremental
      compressionMethod = config.effectiveMethod
      snapshotCreatedAt = config.snapshotCreatedAt.isEmpty ? nil : config.snapshotCreatedAt
      blockSize = config.blockSize
      backupCreatedAt = config.createdTime.isEmpty ? nil : config.createdTime
    case .failure(let problem):
      state = "Unknown"
      error = problem.message
    }
  }
}

private struct GoneRecord: Encodable {
  var backingImage: String?
  var backup: String?
  var volumeName: String?
}

/// The members of `ProbeRecord`, and what the look came to.
private struct SyncRecord: Encodable {
  var target: String
  var available: Bool
  var code: String?
  var reason: String?
  var hint: String?
  var images: Int?
  var backups: Int?
  var read: Int?
  var gone: Int?
  var vanished: Bool?

  init(_ url: StoreURL, _ summary: StoreSync.Summary) {
    target = url.description
    available = true
    images = summary.images
    backups = summary.backups
    read = summary.read
    gone = summary.gone
    vanished = summary.isVanished
  }

  init(_ url: StoreURL, _ problem: StoreError) {
    target = url.description
    available = false
    code = problem.code.rawValue
    reason = problem.message
    hint = problem.hint
  }
}
