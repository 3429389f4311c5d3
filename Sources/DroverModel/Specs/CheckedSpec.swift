/// What checking the `spec` of a document gave.
public struct CheckedSpec<Spec: Sendable>: Sendable {
  public var spec: Spec
  /// The document's fields as they were written, without null and without what was dropped as unknown.
  public var fields: [String: JSONValue]
  /// For people, one sentence each.
  public var warnings: [String]

  public init(spec: Spec, fields: [String: JSONValue], warnings: [String]) {
    self.spec = spec
    self.fields = fields
    self.warnings = warnings
  }
}
