import DroverModel

/// Path and query of a request, taken apart and decoded. What could be read in two ways is refused.
struct RequestTarget {
  /// `["v1", "backingimages", "parrot"]`.
  var segments: [String]
  var query: [String: [String]]

  init(_ target: String) throws {
    guard target.utf8.first == UInt8(ascii: "/") else {
      throw Fault(.invalid, "the request's path \(target.clipped) does not begin with a slash")
    }
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard !target.utf8.contains(UInt8(ascii: "#")) else {
      throw Fault(.invalid, "the request's path \(target.clipped) has a fragment")
    }
    segments = try parts[0].dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { part in
      let segment = try Self.decode(part, spaceFromPlus: false)
      guard segment != ".", segment != "..", !segment.unicodeScalars.contains(where: Self.isForbidden) else {
        throw Fault(.invalid, "the request's path \(target.clipped) has a component that is no name")
      }
      return segment
    }
    query = [:]
    guard parts.count == 2, !parts[1].isEmpty else { return }
    for pair in parts[1].split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let key = try Self.decode(sides[0], spaceFromPlus: true)
      let value = sides.count == 2 ? try Self.decode(sides[1], spaceFromPlus: true) : ""
      query[key, default: []].append(value)
    }
  }

  private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "/" || scalar == "\\" || scalar.value < 0x20 || scalar.value == 0x7f
  }

  private static func decode(_ text: Substring, spaceFromPlus: Bool) throws -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexadecimal), let low = rest.popFirst().flatMap(hexadecimal) else {
          throw Fault(.invalid, "\(String(text).clipped) has a % that is not followed by two hexadecimal digits")
        }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where spaceFromPlus: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw Fault(.invalid, "\(String(text).clipped) is not text")
    }
    return decoded
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt8? {
    Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
  }
}

extension String {
  /// Fit for a message: at most 80 characters, without control characters.
  var clipped: String {
    let clean = String(unicodeScalars.prefix(80).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : Character($0) })
    return "\"\(clean)\(unicodeScalars.dropFirst(80).isEmpty ? "" : "…")\""
  }
}
