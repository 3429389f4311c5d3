/// What a job does: copy between two stacks of block devices, or run one task. Source: docs/architecture.md, "One idea".
///
/// `from` is a source and the filters over it; `to` is written as `[filters…, sink]`, topmost first, so the last of `to`
/// and the first of `from` are opened alone. A task stands alone in `from`, and `to` is empty.
public struct Pipeline: Sendable, Hashable, Codable {
  public var from: [Stage]
  public var to: [Stage]
  /// SHA-512 that the image file must have, 128 lower-case hexadecimal digits; nil where none is known yet.
  public var expectedChecksum: String?
  /// Blocks copied at once; nil takes the daemon's setting.
  public var concurrency: Int?
  /// What the stages must be given beside their parameters: names only.
  public var secrets: [SecretUse]
  /// Which stages reach a target that wants credentials: they get every value of the target's Secret.
  public var credentials: [CredentialUse]

  public init(
    from: [Stage], to: [Stage], expectedChecksum: String? = nil, concurrency: Int? = nil, secrets: [SecretUse] = [],
    credentials: [CredentialUse] = []
  ) {
    self.from = from
    self.to = to
    self.expectedChecksum = expectedChecksum
    self.concurrency = concurrency
    self.secrets = secrets
    self.credentials = credentials
  }

  /// A whole Secret, and the stage that gets it, each value under the name that it has there. Which values those are is
  /// seen when a worker starts: a pipeline that was planned before the Secret changed gets what it holds now.
  public struct CredentialUse: Sendable, Hashable, Codable {
    /// Index in `from + to`.
    public var stage: Int
    public var secret: SecretReference

    public init(stage: Int, secret: SecretReference) {
      self.stage = stage
      self.secret = secret
    }
  }

  /// One value of a Secret, and the stage that gets it.
  public struct SecretUse: Sendable, Hashable, Codable {
    /// Index in `from + to`.
    public var stage: Int
    /// What the stage calls it: `passphrase`.
    public var name: String
    public var secret: SecretReference
    /// Of the value in the Secret.
    public var key: String

    public init(stage: Int, name: String, secret: SecretReference, key: String) {
      self.stage = stage
      self.name = name
      self.secret = secret
      self.key = key
    }
  }

  public struct Stage: Sendable, Hashable, Codable {
    /// Name of a stage in some plugin: `clone`, `restore`, `download`, …
    public var stage: String
    public var role: Role
    public var params: [String: JSONValue]

    public init(_ stage: String, _ role: Role, _ params: [String: JSONValue] = [:]) {
      self.stage = stage
      self.role = role
      self.params = params
    }
  }

  public enum Role: String, Sendable, Codable { case source, filter, sink, task }

  private enum CodingKeys: CodingKey { case from, to, expectedChecksum, concurrency, secrets, credentials }

  /// A catalog of an earlier version has neither `secrets` nor `credentials`.
  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      from: try members.decode([Stage].self, forKey: .from), to: try members.decode([Stage].self, forKey: .to),
      expectedChecksum: try members.decodeIfPresent(String.self, forKey: .expectedChecksum),
      concurrency: try members.decodeIfPresent(Int.self, forKey: .concurrency),
      secrets: try members.decodeIfPresent([SecretUse].self, forKey: .secrets) ?? [],
      credentials: try members.decodeIfPresent([CredentialUse].self, forKey: .credentials) ?? [])
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(from, forKey: .from)
    try members.encode(to, forKey: .to)
    try members.encodeIfPresent(expectedChecksum, forKey: .expectedChecksum)
    try members.encodeIfPresent(concurrency, forKey: .concurrency)
    if !secrets.isEmpty { try members.encode(secrets, forKey: .secrets) }
    if !credentials.isEmpty { try members.encode(credentials, forKey: .credentials) }
  }
}
