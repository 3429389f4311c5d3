/// Sizes in bytes, as people write them. All units are binary, as in qemu: 1K and 1Ki are both 1024.
public enum ByteSize {
  private static let units: [Character] = ["K", "M", "G", "T"]

  /// `4096`, `10G`, `1.5GiB`; nil if it is not a size or does not fit. A fraction must come to whole bytes.
  public static func parse(_ text: some StringProtocol) -> Int64? {
    var text = Substring(text.filter { $0 != " " })
    if text.count > 1, text.last?.uppercased() == "B" { text.removeLast() }
    if text.count > 1, text.last == "i" { text.removeLast() }
    var factor: Int64 = 1
    if let unit = text.last?.uppercased().first, let power = units.firstIndex(of: unit) {
      text.removeLast()
      for _ in 0...power { factor *= 1024 }
    }
    guard let first = text.first, first.isASCII, first.isNumber else { return nil }
    if let whole = Int64(text) {
      let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
      return overflow ? nil : bytes
    }
    guard text.allSatisfy({ $0 == "." || ($0.isASCII && $0.isNumber) }), let number = Double(text) else { return nil }
    return Int64(exactly: number * Double(factor))
  }

  /// For people: `512 B`, `1.5 GiB`, with at most three figures before the unit's rounding.
  public static func text(_ bytes: Int64) -> String {
    guard bytes >= 1024 || bytes <= -1024 else { return "\(bytes) B" }
    var value = Double(bytes)
    var unit = -1
    repeat {
      value /= 1024
      unit += 1
    } while abs(value) >= 1023.95 && unit < units.count - 1
    let tenths = Int64((value * 10).rounded())
    return "\(tenths / 10).\(abs(tenths % 10)) \(units[unit])iB"
  }
}
