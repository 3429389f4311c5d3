/// What a naming policy answers: `{ name = "…" }`. A table without it, or nil, leaves the built-in name.
public struct NamingAnswer: Sendable, Hashable {
  public var name: String?

  /// - Parameter kind: Of the object that is named.
  public init(_ output: JSONValue, kind: ResourceKind) throws(Fault) {
    var reader = try FieldReader(output, path: "naming")
    name = try reader.string("name")
    try reader.finish(.strict)
    if let name { try ResourceName.check(name, kind) }
  }
}
