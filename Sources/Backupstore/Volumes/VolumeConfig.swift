/// `volume.cfg`: what a store knows of a volume that has backups there. Source: longhorn-format, 3.2.
public struct VolumeConfig: Sendable, Hashable {
  public var name: String
  /// Bytes of the volume as it was backed up last, the header of an encrypted one included.
  public var size: UInt64
  /// Of the most recent backup.
  public var labels: [String: String]?
  /// See `StoreTime`; when the volume was first backed up.
  public var createdTime: String
  /// The newest complete backup, which the next incremental one builds upon; empty where there is none.
  public var lastBackupName: String
  /// That backup's `snapshotCreatedAt`; empty where there is none.
  public var lastBackupAt: String
  /// About how many blocks the volume has in the store, exact after blocks were collected.
  public var blockCount: UInt64
  /// The image that the volume lies over; empty where it lies over none.
  public var backingImageName: String
  /// SHA-512 of that image's file, 128 lower-case hexadecimal digits; empty where it was not known.
  public var backingImageChecksum: String
  /// Of all the volume's backups. Empty means gzip.
  public var compressionMethod: String
  public var storageClassName: String
  /// `v1` or `v2`; empty means `v1`.
  public var dataEngine: String

  public init(
    name: String, size: UInt64, labels: [String: String]? = nil, createdTime: String = "", lastBackupName: String = "",
    lastBackupAt: String = "", blockCount: UInt64 = 0, backingImageName: String = "",
    backingImageChecksum: String = "", compressionMethod: String = "", storageClassName: String = "",
    dataEngine: String = ""
  ) {
    self.name = name
    self.size = size
    self.labels = labels
    self.createdTime = createdTime
    self.lastBackupName = lastBackupName
    self.lastBackupAt = lastBackupAt
    self.blockCount = blockCount
    self.backingImageName = backingImageName
    self.backingImageChecksum = backingImageChecksum
    self.compressionMethod = compressionMethod
    self.storageClassName = storageClassName
    self.dataEngine = dataEngine
  }

  public var effectiveMethod: String { compressionMethod.isEmpty ? "gzip" : compressionMethod }
}
