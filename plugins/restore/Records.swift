import Backupstore

/// Which Secret opens the image, as its backup names it; for the job's result.
struct SecretRecord: Encodable {
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
struct SourceRecord: Encodable {
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

/// What the backup says about the volume.
struct VolumeRecord: Encodable {
  var volume: String
  var backup: String
  var size: UInt64
  var labels: [String: String]
  var backingImage: String
  var backingImageChecksum: String
  var compressionMethod: String
  var snapshot: String

  init(_ restore: VolumeRestore) {
    volume = restore.volume.name
    backup = restore.backup.name
    size = restore.size
    labels = restore.backup.labels ?? [:]
    backingImage = restore.volume.backingImageName
    backingImageChecksum = restore.volume.backingImageChecksum
    compressionMethod = restore.backup.effectiveMethod
    snapshot = restore.backup.snapshotName
  }
}
