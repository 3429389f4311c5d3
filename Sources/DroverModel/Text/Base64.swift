/// Base64 with the standard alphabet and padding, RFC 4648 section 4.
public enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// Nil where it is something else. Line ends are passed over, as Kubernetes does.
  public static func decode(_ text: String) -> SecretBytes? {
    let digits = text.utf8.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    let padding = digits.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    guard digits.count % 4 == 0, padding <= 2 else { return nil }
    var values: [UInt32] = []
    values.reserveCapacity(digits.count)
    for digit in digits.dropLast(padding) {
      guard let value = value(of: digit) else { return nil }
      values.append(value)
    }
    defer { for index in values.indices { values[index] = 0 } }
    return SecretBytes(count: digits.count / 4 * 3 - padding) { output in
      for index in output.indices {
        let first = index / 3 * 4
        let group = (0..<4).reduce(UInt32(0)) { $0 << 6 | (first + $1 < values.count ? values[first + $1] : 0) }
        output[index] = UInt8(truncatingIfNeeded: group >> UInt32(16 - index % 3 * 8))
      }
    }
  }

  public static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
    var digits: [UInt8] = []
    digits.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      let group = (0..<3).reduce(UInt32(0)) { $0 << 8 | ($1 < count ? UInt32(bytes[start + $1]) : 0) }
      for place in 0..<4 {
        digits.append(place <= count ? alphabet[Int(group >> UInt32(18 - place * 6) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: digits, as: UTF8.self)
  }

  private static func value(of digit: UInt8) -> UInt32? {
    switch digit {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
