import Backupstore
import StageKit

/// What a finished backup is, for the job's result.
struct BackupRecord: Encodable {
  var url: String
  var backupName: String
  var size: UInt64
  var blockCount: UInt64
  var labels: [String: String]
  var compressionMethod: String
  var backupCreatedAt: String
  var newlyUploadedDataSize: UInt64
  var checksum: String
  var secret: String
  var secretNamespace: String

  init(_ result: ImageBackupResult) {
    url = result.url.description
    backupName = result.url.name
    size = result.config.size
    blockCount = result.config.blockCount
    labels = result.config.labels ?? [:]
    compressionMethod = result.config.effectiveMethod
    backupCreatedAt = result.config.completeTime
    newlyUploadedDataSize = result.uploadedBytes
    checksum = result.config.checksum
    secret = result.config.secret
    secretNamespace = result.config.secretNamespace
  }
}

/// What a backup in a store is: the field names of a BackupBackingImage's status.
struct InspectionRecord: Encodable {
  var url: String
  var backingImage: String
  var checksum: String
  var size: UInt64
  var labels: [String: String]
  var compressionMethod: String
  var secret: String
  var secretNamespace: String
  var backupCreatedAt: String
  var state = "Completed"

  init(_ url: ImageBackupURL, _ config: ImageConfig) {
    self.url = url.description
    backingImage = url.name
    checksum = config.checksum
    size = config.size
    labels = config.labels ?? [:]
    compressionMethod = config.effectiveMethod
    secret = config.secret
    secretNamespace = config.secretNamespace
    backupCreatedAt = config.completeTime
  }
}

/// What became of a deletion. `kept` says why unreferenced blocks stayed.
struct DeletionRecord: Encodable {
  var url: String
  var existed: Bool
  var removedBlocks: Int
  var kept: String?

  init(_ url: String, _ result: DeletionResult) {
    self.url = url
    existed = result.existed
    removedBlocks = result.removedBlocks
    kept = result.kept
  }
}

struct ProbeRecord: Encodable {
  var target: String
  var available: Bool
  var code: String?
  var reason: String?
  var hint: String?
}
