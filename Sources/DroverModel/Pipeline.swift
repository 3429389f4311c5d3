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

  public init(from: [Stage], to: [Stage], expectedChecksum: String? = nil, concurrency: Int? = nil) {
    self.from = from
    self.to = to
    self.expectedChecksum = expectedChecksum
    self.concurrency = concurrency
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
}
