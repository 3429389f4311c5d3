/// The checked `spec` of an object of any kind that can be applied.
public enum ResourceSpec: Sendable, Hashable {
  case backingImage(BackingImage.Spec)
  case backupBackingImage(BackupBackingImage.Spec)
  case backupTarget(BackupTarget.Spec)
  case secret(Secret.Spec)
  case volume(Volume.Spec)
  case snapshot(Snapshot.Spec)
  case backup(Backup.Spec)

  /// `name` is the object's own, if it has one yet, and `labels` are its own. Throws `invalid` or `not-supported`.
  public static func read(
    _ kind: ResourceKind, _ fields: [String: JSONValue], name: String?, labels: [String: String] = [:],
    validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    switch kind {
    case .backingImage:
      let checked = try BackingImage.Spec.read(fields, validation: validation)
      return CheckedSpec(spec: .backingImage(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .backupBackingImage:
      let checked = try BackupBackingImage.Spec.read(fields, name: name, validation: validation)
      return CheckedSpec(spec: .backupBackingImage(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .backupTarget:
      let checked = try BackupTarget.Spec.read(fields, validation: validation)
      return CheckedSpec(spec: .backupTarget(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .secret:
      // What the catalog has of it: the values are not part of the object.
      let type = fields["type"]?.string ?? Secret.Spec().type
      return CheckedSpec(spec: .secret(Secret.Spec(type: type)), fields: fields, warnings: [])
    case .volume:
      let checked = try Volume.Spec.read(fields, validation: validation)
      return CheckedSpec(spec: .volume(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .snapshot:
      let checked = try Snapshot.Spec.read(fields, name: name, validation: validation)
      return CheckedSpec(spec: .snapshot(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .backup:
      let checked = try Backup.Spec.read(fields, name: name, objectLabels: labels, validation: validation)
      return CheckedSpec(spec: .backup(checked.spec), fields: checked.fields, warnings: checked.warnings)
    case .job:
      throw Fault(.invalid, "a Job has no spec")
    }
  }

  /// The typed view of an object that was checked when it was applied. Unknown fields don't matter here.
  public init(_ resource: Resource) throws(Fault) {
    let kind = try ResourceKind(named: resource.kind)
    self = try Self.read(
      kind, resource.spec, name: resource.metadata.name, labels: resource.metadata.labels ?? [:],
      validation: .ignore
    ).spec
  }
}
