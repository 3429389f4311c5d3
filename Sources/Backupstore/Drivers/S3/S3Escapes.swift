/// Percent escapes as a signature wants them: everything but letters, digits, `-`, `_`, `.` and `~`, in upper case.
/// Source: AWS, "Create a signed AWS API request", UriEncode.
enum S3Escapes {
  /// Slashes stay.
  static func path(_ text: String) -> String { encode(text, keepsSlash: true) }
  static func queryValue(_ text: String) -> String { encode(text, keepsSlash: false) }

  /// What a listing with `encoding-type=url` holds, where a blank may be written `+`. Nil for a bad escape.
  static func decoded(_ text: String) -> String? {
    StoreURL.percentDecoded(String(text.map { $0 == "+" ? " " : $0 }))
  }

  private static func encode(_ text: String, keepsSlash: Bool) -> String {
    var output: [UInt8] = []
    output.reserveCapacity(text.utf8.count + 16)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "~"):
        output.append(byte)
      case UInt8(ascii: "/") where keepsSlash: output.append(byte)
      default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static let digits = Array("0123456789ABCDEF".utf8)
}
