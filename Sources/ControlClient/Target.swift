/// Path and query as they stand in a request line.
func target(path: String, query: [String: String]) -> String {
  let pairs = query.sorted { $0.key < $1.key }.map {
    "\(encoded($0.key, keeping: []))=\(encoded($0.value, keeping: []))"
  }
  return encoded(path, keeping: [UInt8(ascii: "/")]) + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&"))
}

/// Everything but unreserved characters (RFC 3986, section 2.3) as %XX.
private func encoded(_ text: String, keeping: Set<UInt8>) -> String {
  var result = ""
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      result.unicodeScalars.append(UnicodeScalar(byte))
    case _ where keeping.contains(byte): result.unicodeScalars.append(UnicodeScalar(byte))
    default: result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }
  }
  return result
}
