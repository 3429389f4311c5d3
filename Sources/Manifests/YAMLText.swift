public import DroverModel

/// Writes JSON values as YAML that reads back to the same values.
public enum YAMLText {
  /// One document, a line end at its end. Keys of an object stand in the order of a manifest (`apiVersion`, `kind`,
  /// `metadata`, `spec`, `status`, `name` first), then by name.
  public static func encode(_ value: JSONValue) -> String {
    var text = ""
    write(value, indent: 0, inline: false, &text)
    return text
  }

  private static let firstKeys = ["apiVersion", "kind", "metadata", "spec", "status", "items", "name"]

  private static func write(_ value: JSONValue, indent: Int, inline: Bool, _ text: inout String) {
    let margin = String(repeating: " ", count: indent)
    switch value {
    case .object(let members) where !members.isEmpty:
      var isFirst = inline
      for key in members.keys.sorted(by: precedes) {
        text += (isFirst ? "" : margin) + scalar(.string(key)) + ":"
        isFirst = false
        writeMember(members[key] ?? .null, indent: indent, &text)
      }
    case .array(let elements) where !elements.isEmpty:
      for element in elements {
        text += margin + "- "
        if case .array(let inner) = element, !inner.isEmpty {
          text += "\n"
          write(element, indent: indent + 2, inline: false, &text)
        } else {
          write(element, indent: indent + 2, inline: true, &text)
        }
      }
    default: text += (inline ? "" : margin) + scalar(value) + "\n"
    }
  }

  private static func writeMember(_ value: JSONValue, indent: Int, _ text: inout String) {
    switch value {
    case .object(let members) where !members.isEmpty:
      text += "\n"
      write(value, indent: indent + 2, inline: false, &text)
    case .array(let elements) where !elements.isEmpty:
      text += "\n"
      write(value, indent: indent, inline: false, &text)
    default: text += " " + scalar(value) + "\n"
    }
  }

  private static func precedes(_ a: String, _ b: String) -> Bool {
    let (x, y) = (firstKeys.firstIndex(of: a) ?? firstKeys.count, firstKeys.firstIndex(of: b) ?? firstKeys.count)
    return x == y ? a < b : x < y
  }

  private static func scalar(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool(let value): String(value)
    case .int(let value): String(value)
    case .double(let value): String(value)
    case .array: "[]"
    case .object: "{}"
    case .string(let text): isPlain(text) ? text : quoted(text)
    }
  }

  /// Whether the text reads back as itself without quotes; old readers take `yes` and `on` for booleans.
  private static func isPlain(_ text: String) -> Bool {
    guard plainScalar(text) == .string(text), text.utf8.count <= 1024 else { return false }
    guard !["yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) else { return false }
    guard let first = text.utf8.first, first != 45 || text.utf8.count > 1 else { return false }
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte)
    }
    // Dates and such begin with a digit and hold a colon or dashes: quotes keep them text everywhere.
    guard isLetterOrDigit(first) || first == UInt8(ascii: "/") || first == UInt8(ascii: "_") else { return false }
    let startsWithDigit = (48...57).contains(first)
    let bytes = Array(text.utf8)
    return bytes.indices.allSatisfy { index in
      let byte = bytes[index]
      if isLetterOrDigit(byte) { return true }
      switch byte {
      case UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "="), UInt8(ascii: "?"),
        UInt8(ascii: "+"), UInt8(ascii: "@"), UInt8(ascii: ";"), UInt8(ascii: "("), UInt8(ascii: ")"):
        return true
      case UInt8(ascii: "-"): return !startsWithDigit || !isDateLike(bytes)
      case UInt8(ascii: ":"):
        return !startsWithDigit && index + 1 < bytes.count && bytes[index + 1] != UInt8(ascii: " ")
      case UInt8(ascii: " "):
        return index + 1 < bytes.count && bytes[index + 1] != UInt8(ascii: " ")
      case UInt8(ascii: ","): return true
      default: return false
      }
    }
  }

  private static func isDateLike(_ bytes: [UInt8]) -> Bool {
    bytes.count >= 8 && bytes[4] == UInt8(ascii: "-") && bytes[..<4].allSatisfy { (48...57).contains($0) }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _
      where scalar.value < 32 || (127...159).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
        || scalar.value == 0xFEFF:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
