/// The kinds of `docs/cli.md` that this version knows. The raw value is the lower-case singular that the CLI and the
/// API use.
public enum ResourceKind: String, Sendable, Codable, CaseIterable {
  case backingImage = "backingimage"
  case backupBackingImage = "backupbackingimage"
  case backupTarget = "backuptarget"
  case volume
  case snapshot
  /// Of a volume.
  case backup
  case secret
  case job
}

/// Names one resource: `backingimage/parrot`.
public struct ResourceKey: Sendable, Hashable, Codable, CustomStringConvertible {
  public var kind: ResourceKind
  public var name: String

  public init(_ kind: ResourceKind, _ name: String) {
    self.kind = kind
    self.name = name
  }

  public var description: String { "\(kind.rawValue)/\(name)" }
}

/// An object as the API shows it and the catalog keeps it: Longhorn's envelope round Longhorn's fields.
///
/// `spec` and `status` stay JSON here, so that what a manifest said is kept to the letter; the typed views
/// (`BackingImage.Spec`, …) are made from them by validation.
public struct Resource: Sendable, Hashable, Codable {
  public var apiVersion: String
  /// As in manifests: `BackingImage`.
  public var kind: String
  public var metadata: Metadata
  public var spec: [String: JSONValue]
  public var status: [String: JSONValue]

  public init(
    apiVersion: String = "longhorn.io/v1beta2", kind: String, metadata: Metadata, spec: [String: JSONValue] = [:],
    status: [String: JSONValue] = [:]
  ) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.metadata = metadata
    self.spec = spec
    self.status = status
  }

  public struct Metadata: Sendable, Hashable, Codable {
    public var name: String
    public var namespace: String?
    public var uid: String?
    /// RFC 3339, UTC.
    public var creationTimestamp: String?
    public var labels: [String: String]?
    /// Rises by one with each change of `spec` or `labels`.
    public var generation: Int?

    public init(
      name: String, namespace: String? = nil, uid: String? = nil, creationTimestamp: String? = nil,
      labels: [String: String]? = nil, generation: Int? = nil
    ) {
      self.name = name
      self.namespace = namespace
      self.uid = uid
      self.creationTimestamp = creationTimestamp
      self.labels = labels
      self.generation = generation
    }
  }
}
