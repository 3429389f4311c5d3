/// `backup_NAME.cfg`: one backup of a volume, or the stub that stands for one while it is made. Source: longhorn-format,
/// 3.3.
public struct VolumeBackupConfig: Sendable, Hashable {
  public var name: String
  public var volumeName: String
  /// Empty while the backup is not complete.
  public var snapshotName: String
  /// When the backup was begun, despite its name. See `StoreTime`.
  public var snapshotCreatedAt: String
  /// Empty while the backup is not complete.
  public var createdTime: String
  /// Bytes in blocks, as the document says it.
  public var size: UInt64
  public var labels: [String: String]?
  /// `backup-mode`, `backup-block-size`.
  public var parameters: [String: String]?
  /// Whether blocks of an earlier backup were taken over. `blocks` has them all in any case.
  public var isIncremental: Bool
  /// As the document says it. Empty means gzip.
  public var compressionMethod: String
  /// Packed bytes of blocks that were not there before.
  public var newlyUploadedDataSize: UInt64
  /// Packed bytes of blocks that were written although they were there.
  public var reUploadedDataSize: UInt64
  /// Ascending by offset, each of `blockSize` bytes. What none of them covers is the backing image's, or reads as zero.
  public var blocks: [BlockEntry]
  /// Where the one file of a backup without blocks lies, relative to the target; empty for a backup of blocks.
  public var singleFile: String
  /// Name of the lock under which Drover makes this backup; only in a stub of Drover's.
  public var droverLock: String?

  public init(
    name: String, volumeName: String, snapshotName: String = "", snapshotCreatedAt: String = "",
    createdTime: String = "", size: UInt64 = 0, labels: [String: String]? = nil, parameters: [String: String]? = nil,
    isIncremental: Bool = false, compressionMethod: String = "", newlyUploadedDataSize: UInt64 = 0,
    reUploadedDataSize: UInt64 = 0, blocks: [BlockEntry] = [], singleFile: String = "", droverLock: String? = nil
  ) {
    self.name = name
    self.volumeName = volumeName
    self.snapshotName = snapshotName
    self.snapshotCreatedAt = snapshotCreatedAt
    self.createdTime = createdTime
    self.size = size
    self.labels = labels
    self.parameters = parameters
    self.isIncremental = isIncremental
    self.compressionMethod = compressionMethod
    self.newlyUploadedDataSize = newlyUploadedDataSize
    self.reUploadedDataSize = reUploadedDataSize
    self.blocks = blocks
    self.singleFile = singleFile
    self.droverLock = droverLock
  }

  public var isComplete: Bool { !createdTime.isEmpty }

  public var effectiveMethod: String { compressionMethod.isEmpty ? "gzip" : compressionMethod }

  /// Bytes of each block: 2 MiB where the parameters do not say. A config that was read has a valid one.
  public var blockSize: UInt64 { BlockSize.parse(parameters?[BlockSize.parameter]) ?? BlockSize.usual }

  /// The blocks of an incremental backup: those of `delta`, and of `base` what `delta` has not. Both are ascending and of
  /// one block size.
  public static func merging(_ delta: [BlockEntry], over base: [BlockEntry]) -> [BlockEntry] {
    var merged: [BlockEntry] = []
    merged.reserveCapacity(max(delta.count, base.count))
    var older = base[...]
    for entry in delta {
      while let next = older.first, next.offset <= entry.offset {
        if next.offset < entry.offset { merged.append(next) }
        older.removeFirst()
      }
      merged.append(entry)
    }
    return merged + older
  }
}
