public import DroverModel

extension Facts {
  /// Of a volume: from its `spec` and `status`, and from its snapshots.
  public struct VolumeFacts: Sendable, Hashable {
    public var spec: Volume.Spec
    public var status: Volume.Status
    /// By their names in the volume.
    public var snapshots: [String: SnapshotFacts]

    public init(spec: Volume.Spec, status: Volume.Status, snapshots: [String: SnapshotFacts] = [:]) {
      self.spec = spec
      self.status = status
      self.snapshots = snapshots
    }
  }

  public struct SnapshotFacts: Sendable, Hashable {
    public var key: ResourceKey
    /// It is in the volume, whole, and stays there.
    public var isReady: Bool
    /// Why it is not.
    public var error: String

    public init(key: ResourceKey, isReady: Bool, error: String = "") {
      self.key = key
      self.isReady = isReady
      self.error = error
    }
  }

  /// Of a volume's backup.
  public struct VolumeBackupFacts: Sendable, Hashable {
    public var volume: String
    /// In the store.
    public var backup: String
    public var targetName: String
    public var state: BackupBackingImage.State
    public var snapshot: String?
    /// Of its blocks; nil where nobody knows.
    public var blockSize: Int64?
    /// When it was begun.
    public var begunAt: String?

    public init(
      volume: String, backup: String, targetName: String, state: BackupBackingImage.State, snapshot: String? = nil,
      blockSize: Int64? = nil, begunAt: String? = nil
    ) {
      self.volume = volume
      self.backup = backup
      self.targetName = targetName
      self.state = state
      self.snapshot = snapshot
      self.blockSize = blockSize
      self.begunAt = begunAt
    }
  }
}
