/// A question that users may answer with a Lua function. Source: docs/hooks.md.
public enum PolicyPoint: String, Sendable, Hashable, Codable, CaseIterable {
  case naming, labels, retention, attachment
}
