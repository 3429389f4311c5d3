/// What a labels policy answers: `{ set = { k = "v" }, unset = { "k" } }`, either of which may be missing.
public struct LabelsAnswer: Sendable, Hashable {
  public var set: [String: String]
  public var unset: [String]

  public init(_ output: JSONValue) throws(Fault) {
    var reader = try FieldReader(output, path: "labels")
    set = try reader.labels("set") ?? [:]
    // An empty table of Lua's is an empty object.
    let keys = reader.value("unset")
    unset = []
    for (index, element) in (keys == [:] ? [] : try Self.array(keys)).enumerated() {
      guard let key = element.string else {
        throw Fault(.invalid, "labels.unset[\(index + 1)] must be a string, not \(element.typeName)")
      }
      unset.append(key)
    }
    try reader.finish(.strict)
    for (key, value) in set where value.utf8.count > Self.valueLimit {
      throw Fault(.invalid, "labels.set.\(key) has \(value.utf8.count) bytes; at most \(Self.valueLimit) are allowed")
    }
    guard set.count <= Self.countLimit else {
      throw Fault(.invalid, "labels.set has \(set.count) labels; at most \(Self.countLimit) are allowed")
    }
  }

  /// A label that a policy makes goes into each backup's record, which is read whole.
  static let valueLimit = 4096
  static let countLimit = 256

  private static func array(_ value: JSONValue?) throws(Fault) -> [JSONValue] {
    guard let value else { return [] }
    guard let array = value.array else {
      throw Fault(.invalid, "labels.unset must be an array, not \(value.typeName)")
    }
    return array
  }

  /// The labels that were there, as this answer changes them: a key that is both unset and set is set.
  public func applied(to labels: [String: String]) -> [String: String] {
    labels.filter { !unset.contains($0.key) }.merging(set) { _, new in new }
  }
}
