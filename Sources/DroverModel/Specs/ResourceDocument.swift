/// One document of a manifest, checked: what it asks for and what is odd about it.
public struct ResourceDocument: Sendable {
  public var kind: ResourceKind
  /// Envelope, metadata and spec as they are to be kept; `status` is empty.
  public var resource: Resource
  public var spec: ResourceSpec
  /// `metadata.name` was given. Otherwise the name is a built-in one, which a policy may replace.
  public var isNamed: Bool
  /// `metadata.generateName`, where there is no name.
  public var generateName: String?
  /// For people, one sentence each.
  public var warnings: [String]

  public var key: ResourceKey {
    kind == .secret
      ? SecretReference(namespace: resource.metadata.namespace, name: resource.metadata.name).key
      : ResourceKey(kind, resource.metadata.name)
  }

  public static let apiVersion = "longhorn.io/v1beta2"

  /// Checks a document as it was parsed.
  ///
  /// `randomSuffix` gives eight hexadecimal digits; it is asked where the document has `generateName`, or no name at
  /// all. `status` and metadata that is not Drover's are dropped. Throws `invalid`, `unknown-kind` or `not-supported`.
  public init(
    _ document: JSONValue, validation: Validation = .strict, randomSuffix: () -> String
  ) throws(Fault) {
    guard let members = document.object else {
      throw Fault(.invalid, "a manifest must be an object, not \(document.typeName)")
    }
    var reader = FieldReader(members, path: "manifest")
    kind = try Self.kind(&reader)
    _ = reader.value("status")
    let metadataMembers = try reader.object("metadata") ?? [:]
    var secret: CheckedSpec<Secret.Spec>?
    var specMembers: [String: JSONValue] = [:]
    if kind == .secret {
      secret = try Secret.Spec.read(&reader)
      if try reader.bool("immutable") == true {
        reader.warnings.append("immutable is dropped: it has no effect here")
      }
    } else {
      specMembers = try reader.object("spec") ?? [:]
    }
    try reader.finish(validation)

    var metadata = FieldReader(metadataMembers, path: "metadata")
    let name = try metadata.string("name").flatMap { $0.isEmpty ? nil : $0 }
    let prefix = try metadata.string("generateName")
    isNamed = name != nil
    generateName = isNamed ? nil : prefix
    if let name { try ResourceName.check(name, kind) }

    var namespace = try metadata.text("namespace")
    let labels = try metadata.labels("labels")
    let fields: [String: JSONValue]
    if let secret {
      spec = .secret(secret.spec)
      fields = secret.fields
      warnings = reader.warnings + secret.warnings
    } else {
      let checked = try ResourceSpec.read(
        kind, specMembers, name: name, labels: labels ?? [:], validation: validation)
      spec = checked.spec
      fields = checked.fields
      warnings = reader.warnings + checked.warnings
    }
    let newName: String
    if let name {
      newName = name
    } else {
      newName = try Self.builtInName(kind, spec, prefix: prefix, randomSuffix)
    }
    if kind == .secret {
      let reference = SecretReference(namespace: namespace, name: newName)
      try reference.check()
      namespace = reference.namespace
    }
    resource = Resource(
      apiVersion: kind.apiVersion, kind: kind.manifestName,
      metadata: .init(name: newName, namespace: namespace, labels: labels), spec: fields)
  }

  /// `generateName` and a random end; without one, a restored volume is called as it was, and a backup of an image is called as the image is, with the target's name
  /// behind it for another target than the default.
  private static func builtInName(
    _ kind: ResourceKind, _ spec: ResourceSpec, prefix: String?, _ randomSuffix: () -> String
  ) throws(Fault) -> String {
    let name: String
    if prefix == nil, case .volume(let spec) = spec, let backup = spec.fromBackup {
      name = backup.volume.lowercased()
    } else if prefix == nil, case .backupBackingImage(let spec) = spec {
      let image = spec.image.lowercased()
      name = spec.targetName == BackupTarget.defaultName ? image : "\(image)-\(spec.targetName)"
    } else {
      // In a store with many it has to last.
      name = (prefix ?? kind.rawValue + "-") + randomSuffix() + (kind == .backup ? randomSuffix() : "")
    }
    try ResourceName.check(name, kind)
    return name
  }

  /// Name of the object that a document is about, before anything else of it is checked: for messages, and to find
  /// the path that it belongs to. The key is nil where the daemon is to make a name.
  public static func address(of document: JSONValue) throws(Fault) -> (kind: ResourceKind, key: ResourceKey?) {
    guard let members = document.object else {
      throw Fault(.invalid, "a manifest must be an object, not \(document.typeName)")
    }
    var reader = FieldReader(members, path: "manifest")
    let kind = try kind(&reader)
    guard let name = document["metadata"]?["name"]?.string, !name.isEmpty else { return (kind, nil) }
    try ResourceName.check(name, kind)
    guard kind == .secret else { return (kind, ResourceKey(kind, name)) }
    let reference = SecretReference(namespace: document["metadata"]?["namespace"]?.string?.trimmed, name: name)
    try reference.check()
    return (kind, reference.key)
  }

  private static func kind(_ reader: inout FieldReader) throws(Fault) -> ResourceKind {
    guard let name = try reader.string("kind") else {
      throw Fault(.invalid, "kind is missing", hint: "a manifest has apiVersion, kind, metadata and spec")
    }
    let kind = try ResourceKind(named: name)
    guard kind != .job else {
      throw Fault(.invalid, "a Job can't be applied", hint: "jobs come from other objects; see drover job --help")
    }
    guard name == kind.manifestName else {
      throw Fault(.invalid, "kind \"\(name)\" is written \(kind.manifestName) in a manifest")
    }
    let version = try reader.string("apiVersion")
    guard version == kind.apiVersion else {
      let problem =
        version.map { "apiVersion \"\(ResourceName.printable($0))\" is not known" } ?? "apiVersion is missing"
      throw Fault(.invalid, problem, hint: "write apiVersion: \(kind.apiVersion)")
    }
    return kind
  }
}
