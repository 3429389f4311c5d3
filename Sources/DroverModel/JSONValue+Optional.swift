extension JSONValue {
  /// Nil becomes null.
  public static func of(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
  public static func of(_ value: Int64?) -> JSONValue { value.map(JSONValue.int) ?? .null }
}

/// The members that are not null: an absent one means the same.
func present(_ members: [String: JSONValue]) -> [String: JSONValue] { members.filter { !$0.value.isNull } }
