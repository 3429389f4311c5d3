import Backupstore
import StageKit
import StoreStage

/// `restore`: a backup of an image in a Longhorn store, read as a disk.
enum RestoreStage: Stage {
  static let name = "restore"
  static let summary = "read an image's backup in a Longhorn backupstore"
  static let roles: Roles = .source
  static let parallel = true
  static let params: [String: Parameter]? = [
    "url": Parameter(required: true, "URL of the backup: TARGET?backingImage=NAME")
  ]

  /// How the stage keeps its lock. Only a test has another.
  @TaskLocal static var timing = LockTiming.longhorn

  private struct Params: Decodable { var url: String }

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let url = try ImageBackupURL(request.params(as: Params.self).url)
    let config = try request.openStore(url.target).completeImage(url)
    return Plan(size: config.size, dataSize: config.dataSize, lock: "images in \(url.target)")
  }

  static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let url = try ImageBackupURL(request.params(as: Params.self).url)
    let session = StoreSession(
      store: try request.openStore(url.target), observer: HostObserver(host: host), lockJournal: journal(request),
      timing: timing)
    let restore = try ImageRestore.open(url, session)
    do {
      try host.emit("source", SourceRecord(restore.config))
      if let secret = SecretRecord(restore.config) { try host.emit("result", secret) }
    } catch {
      restore.close()
      throw error
    }
    return RestoreDevice(restore)
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    let url = try ImageBackupURL(request.params(as: Params.self).url)
    try journal(request).removeLocks(from: request.openStore(url.target))
  }

  private static func journal(_ request: OpenRequest) -> LockJournal {
    LockJournal(path: "\(request.jobFolder)/restore.locks")
  }
}

/// Which Secret opens the image, as its backup names it; for the job's result.
private struct SecretRecord: Encodable {
  var secret: String
  var secretNamespace: String

  /// Nil where the backup names none.
  init?(_ config: ImageConfig) {
    guard !config.secret.isEmpty else { return nil }
    secret = config.secret
    secretNamespace = config.secretNamespace
  }
}

/// What the backup says about the image.
private struct SourceRecord: Encodable {
  var checksum: String
  var size: UInt64
  var labels: [String: String]
  var secret: String
  var secretNamespace: String
  var compressionMethod: String

  init(_ config: ImageConfig) {
    checksum = config.checksum
    size = config.size
    labels = config.labels ?? [:]
    secret = config.secret
    secretNamespace = config.secretNamespace
    compressionMethod = config.effectiveMethod
  }
}
