/// Strings and numbers as Go's `encoding/json` writes and reads them. Source: longhorn-format, 3.1.
enum JSONText {
  /// Appends `text` in quotes, with Go's escapes: also of `<`, `>`, `&`, U+2028 and U+2029.
  static func append(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output.append(contentsOf: #"\""#.utf8)
      case "\\": output.append(contentsOf: #"\\"#.utf8)
      case "\u{8}": output.append(contentsOf: #"\b"#.utf8)
      case "\u{c}": output.append(contentsOf: #"\f"#.utf8)
      case "\n": output.append(contentsOf: #"\n"#.utf8)
      case "\r": output.append(contentsOf: #"\r"#.utf8)
      case "\t": output.append(contentsOf: #"\t"#.utf8)
      case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{0}"..."\u{1f}":
        let digits = String(scalar.value, radix: 16)
        output.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
      default: output.append(contentsOf: UTF8.encode(scalar)!)
      }
    }
    output.append(UInt8(ascii: "\""))
  }

  static func append(_ number: UInt64, to output: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var at = 20
      var rest = number
      repeat {
        at -= 1
        digits[at] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0
      output.append(contentsOf: digits[at...])
    }
  }

  /// What stands between the quotes, escapes resolved, invalid UTF-8 and lone surrogates as U+FFFD; nil for a bad escape.
  static func decoded(_ raw: UnsafeBufferPointer<UInt8>) -> String? {
    guard raw.contains(UInt8(ascii: "\\")) else { return String(decoding: raw, as: UTF8.self) }
    var output: [UInt8] = []
    output.reserveCapacity(raw.count)
    var at = 0
    while at < raw.count {
      guard raw[at] == UInt8(ascii: "\\") else {
        output.append(raw[at])
        at += 1
        continue
      }
      guard at + 1 < raw.count else { return nil }
      at += 2
      switch raw[at - 1] {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(raw[at - 1])
      case UInt8(ascii: "b"): output.append(0x08)
      case UInt8(ascii: "f"): output.append(0x0c)
      case UInt8(ascii: "n"): output.append(0x0a)
      case UInt8(ascii: "r"): output.append(0x0d)
      case UInt8(ascii: "t"): output.append(0x09)
      case UInt8(ascii: "u"):
        guard var value = unit(raw, at) else { return nil }
        at += 4
        if (0xd800...0xdbff).contains(value), at + 1 < raw.count, raw[at] == UInt8(ascii: "\\"),
          raw[at + 1] == UInt8(ascii: "u"), let low = unit(raw, at + 2), (0xdc00...0xdfff).contains(low)
        {
          value = 0x10000 + (value - 0xd800) << 10 + (low - 0xdc00)
          at += 6
        }
        output.append(contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{fffd}")!)
      default: return nil
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static func unit(_ raw: UnsafeBufferPointer<UInt8>, _ start: Int) -> UInt32? {
    guard start + 4 <= raw.count else { return nil }
    var value: UInt32 = 0
    for byte in raw[start..<(start + 4)] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
