/// Writes a record as Go's `encoding/json` does: keys in the order of the calls, Go's escapes, a line end.
struct RecordText {
  private(set) var text = "{"

  private mutating func key(_ name: String) {
    if text != "{" { text += "," }
    text += Self.quoted(name) + ":"
  }

  mutating func add(_ name: String, _ value: String) {
    key(name)
    text += Self.quoted(value)
  }

  mutating func add(_ name: String, _ value: UInt64) {
    key(name)
    text += String(value)
  }

  mutating func add(_ name: String, _ value: Bool) {
    key(name)
    text += value ? "true" : "false"
  }

  /// Nil becomes `null`, as an absent Go map does.
  mutating func add(_ name: String, _ map: [String: String]?) {
    key(name)
    guard let map else { return text += "null" }
    let members = map.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      .map { Self.quoted($0.key) + ":" + Self.quoted($0.value) }
    text += "{" + members.joined(separator: ",") + "}"
  }

  var bytes: [UInt8] { Array((text + "}\n").utf8) }

  static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\r": quoted += "\\r"
      case "\t": quoted += "\\t"
      case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{0}"..."\u{1f}":
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
