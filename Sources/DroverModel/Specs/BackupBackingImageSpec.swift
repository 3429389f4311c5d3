extension BackupBackingImage {
  /// `spec` of a BackupBackingImage, checked.
  public struct Spec: Sendable, Hashable {
    /// The image that is backed up, and its name in the store.
    public var image: String
    public var targetName: String
    /// False marks a record that mirrors a backup found in a store: it never starts one.
    public var userCreated: Bool
    /// Written into the backup.
    public var labels: [String: String]
    /// Drover's own.
    public var compression: Compression
    /// Kept, without effect.
    public var inert: [String: JSONValue]

    public init(
      image: String, targetName: String = BackupTarget.defaultName, userCreated: Bool = true,
      labels: [String: String] = [:], compression: Compression = .lz4, inert: [String: JSONValue] = [:]
    ) {
      self.image = image
      self.targetName = targetName
      self.userCreated = userCreated
      self.labels = labels
      self.compression = compression
      self.inert = inert
    }
  }

  /// Of the blocks of a backup.
  public enum Compression: String, Sendable, Codable, CaseIterable { case none, gzip, lz4 }
}

extension BackupBackingImage.Spec {
  /// Checks `fields`. In the older form, without `backingImage`, the object's own `name` is the image's.
  ///
  /// An absent `userCreated` means true: who writes a manifest wants a backup.
  public static func read(
    _ fields: [String: JSONValue], name: String?, validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    guard let image = try reader.text("backingImage") ?? name else {
      throw reader.fault("backingImage", "is required where metadata.name is not the image's")
    }
    try ResourceName.checkReference(image, "spec.backingImage")
    let targetName = try reader.text("backupTargetName") ?? BackupTarget.defaultName
    let userCreated = try reader.bool("userCreated") ?? true
    let labels = try reader.labels("labels") ?? [:]
    let method = try reader.text("compressionMethod") ?? BackupBackingImage.Compression.lz4.rawValue
    guard let compression = BackupBackingImage.Compression(rawValue: method) else {
      let known = BackupBackingImage.Compression.allCases.map(\.rawValue)
      let nearest = nearestName(to: method, among: known).map { "; did you mean \($0)?" } ?? ""
      throw reader.fault(
        "compressionMethod", "\"\(ResourceName.printable(method))\" is not supported\(nearest)",
        hint: "one of \(known.joined(separator: ", "))")
    }
    let inert = reader.inert(["syncRequestedAt"])
    try reader.finish(validation)
    return CheckedSpec(
      spec: Self(
        image: image, targetName: targetName, userCreated: userCreated, labels: labels, compression: compression,
        inert: inert),
      fields: reader.kept, warnings: reader.warnings)
  }
}
