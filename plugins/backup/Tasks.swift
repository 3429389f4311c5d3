import Backupstore
import StageKit
import StoreStage

private struct URLParams: Decodable { var url: String }

/// `delete-backup`: removes a backup, an image's or a volume's, and the blocks that no other one needs.
enum DeleteBackupTask: Stage {
  static let name = "delete-backup"
  static let summary = "delete a backup and the blocks that only it needs"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = [
    "url": Parameter(required: true, "URL of the backup"),
    "force": Parameter("also where backups of volumes need the image"),
  ]

  private struct Params: Decodable {
    var url: String
    var force: Bool?
  }

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let text = try request.params(as: Params.self).url
    if VolumeBackupURL.isMeant(by: text) {
      let url = try VolumeBackupURL(text)
      return Plan(lock: "volume \(url.volume) in \(url.target), for deletion")
    }
    let url = try ImageBackupURL(text)
    return Plan(lock: "images in \(url.target), for deletion")
  }

  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    let note = "\(request.jobFolder)/delete-backup.listed"
    let threads = max(1, request.concurrency)
    if VolumeBackupURL.isMeant(by: params.url) {
      let url = try VolumeBackupURL(params.url)
      guard let backup = url.backup else {
        throw StageError("invalid", "\(url) names a volume and none of its backups")
      }
      let result = try VolumeBackupDeletion.delete(
        backup, of: url.volume, note: note, threads: threads, try session(request, url.target, host))
      return try host.emit("result", DeletionRecord(url.description, result))
    }
    let url = try ImageBackupURL(params.url)
    let result = try ImageDeletion.delete(
      url.name, force: params.force ?? false, note: note, threads: threads, try session(request, url.target, host))
    try host.emit("result", DeletionRecord(url.description, result))
  }

  private static func session(
    _ request: OpenRequest, _ target: StoreURL, _ host: any Host
  ) throws -> StoreSession {
    StoreSession(
      store: try request.openStore(target), observer: HostObserver(host: host),
      lockJournal: LockJournal(path: "\(request.jobFolder)/delete-backup.locks"), timing: BackupStage.timing)
  }
}

/// `check-deletion`: whether an image's backup could be deleted without taking something away from a volume's. Takes no
/// lock. Fails as `delete-backup` would.
enum CheckDeletionTask: Stage {
  static let name = "check-deletion"
  static let summary = "tell whether backups of volumes need an image's backup"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = ["url": Parameter(required: true, "URL of the backup")]

  static func run(_ request: OpenRequest, host: any Host) throws {
    let url = try ImageBackupURL(request.params(as: URLParams.self).url)
    try request.openStore(url.target).checkNotNeeded(
      image: url.name, threads: max(1, request.concurrency), observer: HostObserver(host: host))
  }
}

/// `inspect-backup`: what an image's backup is.
enum InspectBackupTask: Stage {
  static let name = "inspect-backup"
  static let summary = "tell what a backup of an image or a volume is"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = ["url": Parameter(required: true, "URL of the backup")]

  static func run(_ request: OpenRequest, host: any Host) throws {
    let text = try request.params(as: URLParams.self).url
    guard !VolumeBackupURL.isMeant(by: text) else {
      let url = try VolumeBackupURL(text)
      let (volume, backup) = try request.openStore(url.target).completeVolumeBackup(url)
      return try host.emit("result", FoundVolumeRecord(url, nil, .success(backup), volume))
    }
    let url = try ImageBackupURL(text)
    let config = try request.openStore(url.target).completeImage(url)
    try host.emit("result", InspectionRecord(url, config))
  }
}

/// `probe-target`: whether a target can be used now. One that can't be is an answer, not a failure.
enum ProbeTargetTask: Stage {
  static let name = "probe-target"
  static let summary = "tell whether a backup target can be used"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = [
    "target": Parameter(required: true, "URL of the backup target"),
    "create": Parameter("make the target's folder if it is not there"),
  ]

  private struct Params: Decodable {
    var target: String
    var create: Bool?
  }

  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    let probe = TargetProbe(
      try StoreURL(params.target), credentials: request.credentials, create: params.create ?? false)
    try host.emit(
      "result",
      ProbeRecord(
        target: probe.url.description, available: probe.problem == nil, code: probe.problem?.code.rawValue,
        reason: probe.problem?.message, hint: probe.problem?.hint))
  }
}
