extension Backup {
  /// What Longhorn makes blocks of a volume's backup of; bytes. Source: longhorn-format, 4.2.
  public static let blockSizes: [Int64] = [2 << 20, 16 << 20]
  public static let usualBlockSize: Int64 = 2 << 20

  public enum Mode: String, Sendable, Codable, CaseIterable {
    /// Every block is written, also where the store has it.
    case full
    /// What changed since the last backup, where there is one to build upon.
    case incremental
  }

  /// `spec` of a Backup, checked: one that is to be made, or the record of one that a store has.
  public struct Spec: Sendable, Hashable {
    /// The name of the volume, here and in the store.
    public var volume: String
    /// Of the backup in the store.
    public var backupName: String
    /// Nil takes the volume's.
    public var targetName: String?
    /// Of the snapshot in its volume; nil makes one.
    public var snapshotName: String?
    /// Written into the backup.
    public var labels: [String: String]
    public var mode: Mode
    /// Nil takes the volume's.
    public var blockSize: Int64?
    /// Drover's own; nil takes the volume's. What the store has of the volume wins in any case.
    public var compression: BackupBackingImage.Compression?
    /// False marks a record that mirrors a backup found in a store: it never makes one.
    public var userCreated: Bool
    /// Kept, without effect.
    public var inert: [String: JSONValue]

    public init(
      volume: String, backupName: String, targetName: String? = nil, snapshotName: String? = nil,
      labels: [String: String] = [:], mode: Mode = .incremental, blockSize: Int64? = nil,
      compression: BackupBackingImage.Compression? = nil, userCreated: Bool = true, inert: [String: JSONValue] = [:]
    ) {
      self.volume = volume
      self.backupName = backupName
      self.targetName = targetName
      self.snapshotName = snapshotName
      self.labels = labels
      self.mode = mode
      self.blockSize = blockSize
      self.compression = compression
      self.userCreated = userCreated
      self.inert = inert
    }
  }
}

extension Backup.Spec {
  /// Longhorn's, of the object: the volume's name, and the target's.
  public static let volumeLabel = "backup-volume"
  public static let targetLabel = "backup-target"

  /// Checks `fields`. `name` is the object's own, if it has one yet, and `objectLabels` are its labels: Longhorn names the
  /// volume and the target there. What is kept says it in fields of Drover's own, so that the labels are no more needed.
  public static func read(
    _ fields: [String: JSONValue], name: String?, objectLabels: [String: String] = [:],
    validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    let userCreated = try reader.bool("userCreated") ?? true
    reader.keep("userCreated", .bool(userCreated))
    guard let volume = try agreed("volumeName", volumeLabel, objectLabels, &reader) else {
      throw reader.fault(
        "volumeName", "is required: the name of the volume", hint: "Longhorn's label \(volumeLabel) says it as well")
    }
    reader.keep("volumeName", .string(volume))
    let target = try agreed("backupTargetName", targetLabel, objectLabels, &reader)
    if let target { reader.keep("backupTargetName", .string(target)) }
    let stored = try reader.text("backupName")
    let snapshot = try reader.text("snapshotName")
    if userCreated {
      try ResourceName.check(volume, .volume)
      if let stored { try ResourceName.checkStored(stored, reader.field("backupName")) }
      if let snapshot { try ResourceName.checkStored(snapshot, reader.field("snapshotName")) }
    }
    var spec = Self(volume: volume, backupName: stored ?? name ?? "", targetName: target, snapshotName: snapshot)
    spec.userCreated = userCreated
    spec.labels = userCreated ? try reader.labels("labels") ?? [:] : try foreignLabels(&reader)
    let mode = try reader.text("backupMode") ?? Backup.Mode.incremental.rawValue
    guard let mode = Backup.Mode(rawValue: mode) else {
      throw reader.fault("backupMode", "\"\(ResourceName.printable(mode))\" is not known", hint: "full or incremental")
    }
    spec.mode = mode
    spec.blockSize = try blockSize(&reader, "backupBlockSize")
    spec.compression = try compression(&reader, "compressionMethod")
    spec.inert = reader.inert(["syncRequestedAt"])
    try reader.finish(validation)
    return CheckedSpec(spec: spec, fields: reader.kept, warnings: reader.warnings)
  }

  /// What others wrote into a store is shown as it is.
  private static func foreignLabels(_ reader: inout FieldReader) throws(Fault) -> [String: String] {
    (try reader.object("labels") ?? [:]).compactMapValues(\.string)
  }

  /// The field and the label say the same, where both are there.
  private static func agreed(
    _ field: String, _ label: String, _ labels: [String: String], _ reader: inout FieldReader
  ) throws(Fault) -> String? {
    let said = try reader.text(field)
    guard let other = labels[label], !other.isEmpty else { return said }
    if let said, said != other {
      throw reader.fault(field, "is \(said), but the object's label \(label) says \(ResourceName.printable(other))")
    }
    return other
  }

  /// Longhorn's `-1`, and an absent one, are nil.
  static func blockSize(_ reader: inout FieldReader, _ key: String) throws(Fault) -> Int64? {
    guard let size = try reader.integer(key, -1...Int64.max), size > 0 else { return nil }
    guard Backup.blockSizes.contains(size) else {
      throw reader.fault(
        key, "is \(size)", hint: "one of \(Backup.blockSizes.map(String.init).joined(separator: ", "))")
    }
    return size
  }

  static func compression(
    _ reader: inout FieldReader, _ key: String
  ) throws(Fault) -> BackupBackingImage.Compression? {
    guard let method = try reader.text(key) else { return nil }
    let known = BackupBackingImage.Compression.allCases.map(\.rawValue)
    guard let compression = BackupBackingImage.Compression(rawValue: method) else {
      let nearest = nearestName(to: method, among: known).map { "; did you mean \($0)?" } ?? ""
      throw reader.fault(
        key, "\"\(ResourceName.printable(method))\" is not supported\(nearest)",
        hint: "one of \(known.joined(separator: ", "))")
    }
    return compression
  }
}
