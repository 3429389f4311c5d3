/// A volume's backup in a store: Longhorn's Backup.
public enum Backup {
  /// `status` of a Backup. Sizes in bytes, times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    public var state: BackupBackingImage.State
    /// 0-100; 100 only when `Completed`.
    public var progress: Int
    /// Empty where there is none.
    public var error: String
    /// `TARGET?backup=NAME&volume=VOLUME`.
    public var url: String?
    public var volumeName: String
    public var snapshotName: String?
    /// Of the blocks that the backup has.
    public var size: Int64?
    public var newlyUploadDataSize: Int64?
    public var reUploadedDataSize: Int64?
    public var labels: [String: String]
    public var isIncremental: Bool
    /// The image that the volume lies over.
    public var volumeBackingImageName: String?
    public var compressionMethod: String?
    public var backupTargetName: String?
    /// When the backup was begun.
    public var snapshotCreatedAt: String?
    public var backupCreatedAt: String?
    public var lastSyncedAt: String?
    public var lastVerified: String?
    /// When a verification found it damaged, or such that a restore would refuse it; nil while nothing is known.
    public var damagedAt: String?
    /// Of its blocks, how many are bad or missing; nil while no damage is known.
    public var damagedBlocks: Int64?
    /// Whether nobody may delete it before it is unpinned.
    public var pinned: Bool
    /// Of its blocks, in bytes.
    public var blockSize: Int64?
    /// Of the volume when it was made.
    public var volumeSize: Int64?
    /// Id of the job that works for it, or did so last.
    public var job: String?

    public init(_ fields: [String: JSONValue]) {
      state = fields["state"]?.string.flatMap(BackupBackingImage.State.init(rawValue:)) ?? .unknown
      progress = fields["progress"]?.int.map { Int($0) } ?? 0
      error = fields["error"]?.string ?? ""
      url = fields["url"]?.string
      volumeName = fields["volumeName"]?.string ?? ""
      snapshotName = fields["snapshotName"]?.string
      size = fields["size"]?.int
      newlyUploadDataSize = fields["newlyUploadDataSize"]?.int
      reUploadedDataSize = fields["reUploadedDataSize"]?.int
      labels = (fields["labels"]?.object ?? [:]).compactMapValues(\.string)
      isIncremental = fields["isIncremental"]?.bool ?? false
      volumeBackingImageName = fields["volumeBackingImageName"]?.string
      compressionMethod = fields["compressionMethod"]?.string
      backupTargetName = fields["backupTargetName"]?.string
      snapshotCreatedAt = fields["snapshotCreatedAt"]?.string
      backupCreatedAt = fields["backupCreatedAt"]?.string
      lastSyncedAt = fields["lastSyncedAt"]?.string
      lastVerified = fields["lastVerified"]?.string
      damagedAt = fields["damagedAt"]?.string
      damagedBlocks = fields["damagedBlocks"]?.int
      pinned = fields["pinned"]?.bool ?? false
      blockSize = fields["blockSize"]?.int
      volumeSize = fields["volumeSize"]?.int
      job = fields["job"]?.string
    }

    public var fields: [String: JSONValue] {
      present([
        "state": .string(state.rawValue), "progress": .int(Int64(progress)), "error": .string(error), "url": .of(url),
        "volumeName": .string(volumeName), "snapshotName": .of(snapshotName), "size": .of(size),
        "newlyUploadDataSize": .of(newlyUploadDataSize), "reUploadedDataSize": .of(reUploadedDataSize),
        "labels": .object(labels.mapValues { .string($0) }), "isIncremental": .bool(isIncremental),
        "volumeBackingImageName": .of(volumeBackingImageName), "compressionMethod": .of(compressionMethod),
        "backupTargetName": .of(backupTargetName), "snapshotCreatedAt": .of(snapshotCreatedAt),
        "backupCreatedAt": .of(backupCreatedAt), "lastSyncedAt": .of(lastSyncedAt), "lastVerified": .of(lastVerified),
        "damagedAt": .of(damagedAt), "damagedBlocks": .of(damagedBlocks), "pinned": pinned ? true : .null,
        "blockSize": .of(blockSize), "volumeSize": .of(volumeSize), "job": .of(job),
      ])
    }
  }
}
