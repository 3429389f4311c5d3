/// What a policy decided, or why something else stands in its place. Source: docs/hooks.md.
public struct PolicyDecision: Sendable, Hashable, Codable {
  public var point: PolicyPoint
  /// File that was asked, without its folder.
  public var script: String
  /// SHA-512 of the file as it was asked, in hexadecimal.
  public var digest: String
  /// What its function returned, also where that was no valid answer; null where it returned nothing.
  public var output: JSONValue
  /// What came of it, for people.
  public var reason: String
  /// The built-in answer was taken, because the script gave none.
  public var fallback: Bool
  /// What was wrong with the script or its answer.
  public var warning: String?

  public init(
    point: PolicyPoint, script: String, digest: String, output: JSONValue, reason: String, fallback: Bool = false,
    warning: String? = nil
  ) {
    self.point = point
    self.script = script
    self.digest = digest
    self.output = output
    self.reason = reason
    self.fallback = fallback
    self.warning = warning
  }
}
