extension Volume {
  /// `spec` of a Volume, checked. Sizes in bytes.
  public struct Spec: Sendable, Hashable {
    /// What the guest sees, a multiple of `Volume.sizeUnit` and of `blockSize`; nil where the backup that it is restored
    /// from says it.
    public var size: Int64?
    /// The image below; for a restore nil means the one that the backup names.
    public var backingImage: String?
    /// The backup that it is restored from.
    public var fromBackup: VolumeBackupURL?
    /// Drover's own: takes `backingImage` though it is not known to be the one that the backup was made over.
    public var acceptBackingImage: Bool
    public var encrypted: Bool
    /// Drover's own: what opens an encrypted volume. Nil takes the image's.
    public var secret: SecretReference?
    /// Of its backups, where the store does not know one already.
    public var compression: BackupBackingImage.Compression
    /// Of its backups: `Backup.blockSizes`.
    public var blockSize: Int64
    /// Where its backups go that name no target.
    public var targetName: String
    /// Snapshots that are allowed at most.
    public var snapshotLimit: Int
    /// Kept, without effect on a single host.
    public var inert: [String: JSONValue]

    public init(
      size: Int64?, backingImage: String? = nil, fromBackup: VolumeBackupURL? = nil, acceptBackingImage: Bool = false,
      encrypted: Bool = false, secret: SecretReference? = nil, compression: BackupBackingImage.Compression = .lz4,
      blockSize: Int64 = Backup.usualBlockSize, targetName: String = BackupTarget.defaultName,
      snapshotLimit: Int = Volume.longestChain - 1, inert: [String: JSONValue] = [:]
    ) {
      self.size = size
      self.backingImage = backingImage
      self.fromBackup = fromBackup
      self.acceptBackingImage = acceptBackingImage
      self.encrypted = encrypted
      self.secret = secret
      self.compression = compression
      self.blockSize = blockSize
      self.targetName = targetName
      self.snapshotLimit = snapshotLimit
      self.inert = inert
    }

    /// Of the volume itself: with the header of an encrypted one.
    public var wholeSize: Int64? { size.map { encrypted ? $0 + Volume.headerSize : $0 } }
  }
}

extension Volume.Spec {
  /// Longhorn's, which place copies in a cluster or tune what is not here.
  private static let inertFields = [
    "numberOfReplicas", "diskSelector", "nodeSelector", "nodeID", "image", "accessMode", "frontend",
    "snapshotMaxSize", "restoreVolumeRecurringJob", "ublkQueueDepth", "ublkNumberOfQueue", "nvmeTcpNrIoQueues",
    "cloneMode", "dataLocality", "staleReplicaTimeout", "engineNodeID", "migrationNodeID", "topologyRequirement",
    "disableFrontend", "revisionCounterDisabled", "unmapMarkSnapChainRemoved", "replicaSoftAntiAffinity",
    "replicaZoneSoftAntiAffinity", "replicaDiskSoftAntiAffinity", "lastAttachedBy", "migratable",
    "replicaAutoBalance", "snapshotDataIntegrity", "freezeFilesystemForSnapshot", "offlineRebuilding",
    "replicaRebuildingBandwidthLimit", "rebuildConcurrentSyncLimit", "snapshotHashingRequestedAt", "dataLayout",
  ]

  /// Checks `fields`. Throws `invalid`, or `not-supported` for what this version can't do.
  public static func read(
    _ fields: [String: JSONValue], validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    let backup = try fromBackup(&reader)
    let blockSize = try Backup.Spec.blockSize(&reader, "backupBlockSize") ?? Backup.usualBlockSize
    var spec = Self(size: try size(&reader, isRestore: backup != nil, blockSize), fromBackup: backup)
    spec.blockSize = blockSize
    if let image = try reader.text("backingImage") {
      try ResourceName.checkReference(image, "spec.backingImage")
      spec.backingImage = image
    }
    spec.acceptBackingImage = try reader.bool("acceptBackingImage") ?? false
    spec.encrypted = try reader.bool("encrypted") ?? false
    try spec.readSecret(&reader)
    spec.compression = try Backup.Spec.compression(&reader, "backupCompressionMethod") ?? .lz4
    spec.targetName = try reader.text("backupTargetName") ?? BackupTarget.defaultName
    // Longhorn's 0 is its own default.
    let limit = try reader.integer("snapshotMaxCount", 0...Int64(Volume.longestChain))
    if let limit, limit > 0 { spec.snapshotLimit = min(Int(limit), Volume.longestChain - 1) }
    try refuseUnsupported(&reader)
    spec.inert = reader.inert(inertFields)
    try reader.finish(validation)
    if spec.acceptBackingImage, spec.fromBackup == nil || spec.backingImage == nil {
      reader.warnings.append("spec.acceptBackingImage has no effect without spec.fromBackup and spec.backingImage")
    }
    return CheckedSpec(spec: spec, fields: reader.kept, warnings: reader.warnings)
  }

  private static func fromBackup(_ reader: inout FieldReader) throws(Fault) -> VolumeBackupURL? {
    guard let url = try reader.text("fromBackup") else { return nil }
    guard VolumeBackupURL.isMeant(by: url) else {
      throw reader.fault(
        "fromBackup", "is \"\(ResourceName.printable(url))\", which is not the URL of a volume's backup",
        hint: "write TARGET?backup=NAME&volume=NAME, as status.url of a Backup")
    }
    return try VolumeBackupURL(url, field: reader.field("fromBackup"))
  }

  private static func size(
    _ reader: inout FieldReader, isRestore: Bool, _ blockSize: Int64
  ) throws(Fault) -> Int64? {
    guard let value = reader.value("size"), value.scalarText?.trimmed != "" else {
      if isRestore { return nil }
      throw reader.fault("size", "is required: how many bytes the volume has", hint: "write size: \"10737418240\"")
    }
    guard let asked = value.int ?? value.string.flatMap({ ByteSize.parse($0) }) else {
      throw reader.fault("size", "must be a number of bytes, not \(value.shown)", hint: "write \"10737418240\", or 10G")
    }
    if isRestore {
      // Longhorn overrides it as well.
      reader.warnings.append(
        "spec.size has no effect: a restored volume has the size that it had when it was backed up")
      reader.keep("size", nil as JSONValue?)
      return nil
    }
    guard asked > 0, asked <= Volume.largestSize else {
      throw reader.fault(
        "size", "is \(asked); it must be from 1 to \(Volume.largestSize), which is \(ByteSize.text(Volume.largestSize))"
      )
    }
    let rounded = (asked + Volume.sizeUnit - 1) / Volume.sizeUnit * Volume.sizeUnit
    if rounded != asked {
      reader.warnings.append(
        "spec.size is rounded up from \(asked) to \(rounded), a multiple of \(ByteSize.text(Volume.sizeUnit))")
    }
    guard rounded % blockSize == 0 else {
      throw reader.fault(
        "size", "is \(rounded), which is not a multiple of spec.backupBlockSize, \(blockSize)",
        hint: "make it \((rounded / blockSize + 1) * blockSize)")
    }
    reader.keep("size", .string(String(rounded)))
    return rounded
  }

  private mutating func readSecret(_ reader: inout FieldReader) throws(Fault) {
    let name = try reader.text("secret")
    let namespace = try reader.text("secretNamespace")
    guard let name else {
      if namespace != nil { throw reader.fault("secretNamespace", "has no meaning without spec.secret") }
      return
    }
    let reference = SecretReference(namespace: namespace, name: name)
    try reference.check()
    guard encrypted || fromBackup != nil else {
      throw reader.fault("secret", "is \(reference), but spec.encrypted is not true")
    }
    secret = reference
  }

  private static func refuseUnsupported(_ reader: inout FieldReader) throws(Fault) {
    if let engine = try reader.text("dataEngine"), engine != "v1" {
      throw Fault(
        .notSupported, "spec.dataEngine: \"\(ResourceName.printable(engine))\" is not supported", hint: "v1 is")
    }
    if let source = try reader.text("dataSource") {
      throw Fault(
        .notSupported, "spec.dataSource: \"\(ResourceName.printable(source))\" is not supported by this version",
        hint: "an image of sourceType export-from-volume, and a volume over it, are the way to a copy")
    }
    for key in ["Standby", "standby"] where try reader.bool(key) == true {
      throw Fault(.notSupported, "\(reader.field(key)): volumes that follow a backup are not supported by this version")
    }
  }
}
