import DroverModel

/// What a scalar without quotes means, by YAML's core schema: null, true, false, a whole number, a number, or its text.
/// `yes`, `on` and dates are text.
func plainScalar(_ text: String) -> JSONValue {
  switch text {
  case "", "~", "null", "Null", "NULL": return .null
  case "true", "True", "TRUE": return .bool(true)
  case "false", "False", "FALSE": return .bool(false)
  default: return number(text) ?? .string(text)
  }
}

private func number(_ text: String) -> JSONValue? {
  guard let first = text.utf8.first, (48...57).contains(first) || first == 43 || first == 45 || first == 46 else {
    return nil
  }
  if text.hasPrefix("0x") { return Int64(text.dropFirst(2), radix: 16).map(JSONValue.int) }
  if text.hasPrefix("0o") { return Int64(text.dropFirst(2), radix: 8).map(JSONValue.int) }
  if let whole = Int64(text) { return .int(whole) }
  let digits = text.utf8.contains { (48...57).contains($0) }
  let allowed = text.utf8.allSatisfy {
    (48...57).contains($0) || $0 == 43 || $0 == 45 || $0 == 46 || $0 == 101 || $0 == 69
  }
  guard digits, allowed, let double = Double(text), double.isFinite else { return nil }
  return .double(double)
}
