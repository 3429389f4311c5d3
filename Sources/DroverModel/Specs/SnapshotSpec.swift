extension Snapshot {
  /// `spec` of a Snapshot, checked.
  public struct Spec: Sendable, Hashable {
    public var volume: String
    /// Of the snapshot in its volume: Drover's own field, for where another volume's has the name of the object.
    public var snapshotName: String
    /// False marks the record of a snapshot that the volume has anyway: it never makes one.
    public var createSnapshot: Bool
    public var labels: [String: String]

    public init(
      volume: String, snapshotName: String, createSnapshot: Bool = true, labels: [String: String] = [:]
    ) {
      self.volume = volume
      self.snapshotName = snapshotName
      self.createSnapshot = createSnapshot
      self.labels = labels
    }
  }
}

extension Snapshot.Spec {
  /// Checks `fields`; `name` is the object's own, if it has one yet.
  ///
  /// An absent `createSnapshot` means true: who writes a manifest wants a snapshot.
  public static func read(
    _ fields: [String: JSONValue], name: String?, validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    guard let volume = try reader.text("volume") else {
      throw reader.fault("volume", "is required: the name of the volume")
    }
    try ResourceName.check(volume, .volume)
    let own = try reader.text("snapshotName")
    if let own { try ResourceName.checkStored(own, reader.field("snapshotName")) }
    let creates = try reader.bool("createSnapshot") ?? true
    let labels = try reader.labels("labels") ?? [:]
    try reader.finish(validation)
    return CheckedSpec(
      spec: Self(volume: volume, snapshotName: own ?? name ?? "", createSnapshot: creates, labels: labels),
      fields: reader.kept, warnings: reader.warnings)
  }
}
