/// Key material and credentials, in Kubernetes' form. Its values are sealed in the catalog and never shown.
public enum Secret {
  /// What a Secret holds, as a manifest brings it. An object that was read back has no values.
  public struct Spec: Sendable, Hashable {
    /// Kubernetes' word, kept: `Opaque`.
    public var type: String
    public var values: [String: SecretBytes]

    public init(type: String = "Opaque", values: [String: SecretBytes] = [:]) {
      self.type = type
      self.values = values
    }
  }

  /// `status` of a Secret: the names of what it holds.
  public struct Status: Sendable, Hashable {
    public var keys: [String]

    public init(keys: some Sequence<String>) { self.keys = keys.sorted() }
    public init(_ fields: [String: JSONValue]) { keys = fields["keys"]?.array?.compactMap(\.string) ?? [] }

    public var fields: [String: JSONValue] { ["keys": .array(keys.map { .string($0) })] }
  }

  /// All values of one Secret together, in bytes.
  public static let largest = 512 << 10
}

extension Secret.Spec {
  /// Reads the members of a whole manifest that are a Secret's own. No message holds a value. Throws `invalid`.
  static func read(_ reader: inout FieldReader) throws(Fault) -> CheckedSpec<Self> {
    let type = try reader.text("type") ?? "Opaque"
    var values: [String: SecretBytes] = [:]
    for (key, value) in try members("data", &reader) {
      guard let bytes = Base64.decode(value) else {
        throw reader.fault(
          "data.\(key)", "is not base64", hint: "write the value itself below stringData, or base64 FILE")
      }
      values[key] = bytes
    }
    for (key, value) in try members("stringData", &reader) { values[key] = SecretBytes(value) }
    guard !values.isEmpty else {
      throw reader.fault("stringData", "is required: a Secret without a value is of no use")
    }
    guard values.values.reduce(0, { $0 + $1.count }) <= Secret.largest else {
      throw reader.fault("data", "is longer than the \(Secret.largest) bytes that a Secret may have")
    }
    // Bare, so that no reader keeps the values.
    return CheckedSpec(
      spec: Self(type: type, values: values), fields: ["type": .string(type)], warnings: [])
  }

  private static func members(
    _ field: String, _ reader: inout FieldReader
  ) throws(Fault) -> [(key: String, value: String)] {
    var members: [(key: String, value: String)] = []
    for (key, value) in (try reader.object(field) ?? [:]).sorted(by: { $0.key < $1.key }) where !value.isNull {
      let fits =
        (1...253).contains(key.utf8.count)
        && key.utf8.allSatisfy {
          (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "-._".utf8.contains($0)
        }
      guard fits else {
        throw reader.fault(
          field, "has the key \"\(ResourceName.printable(key))\", which is not valid",
          hint: "a key is letters, digits, - _ . and at most 253 characters")
      }
      guard let text = value.string else {
        throw reader.fault(
          "\(field).\(key)", "must be a string, not \(value.typeName)",
          hint: value.isScalar ? "put it in quotes" : nil)
      }
      members.append((key, text))
    }
    return members
  }
}
