/// Spans of time as people write them: Go's notation, which Longhorn and kubectl use.
public enum TimeSpan {
  /// Seconds of `30s`, `10m`, `1h30m`, `1.5s`, `250ms`, `2d`, or of a bare number; nil if it is no span or negative.
  public static func parse(_ text: some StringProtocol) -> Double? {
    let text = Substring(text)
    if let bare = number(text) { return bare }
    var rest = text
    var total = 0.0
    while !rest.isEmpty {
      let digits = rest.prefix { $0 == "." || ($0.isASCII && $0.isNumber) }
      rest.removeFirst(digits.count)
      let unit = rest.prefix { !($0 == "." || ($0.isASCII && $0.isNumber)) }
      rest.removeFirst(unit.count)
      guard let amount = number(digits), let seconds = secondsPer(unit) else { return nil }
      total += amount * seconds
    }
    return text.isEmpty ? nil : total
  }

  /// For people, in the two greatest units: `850 ms`, `12s`, `3m05s`, `2h10m`, `4d03h`.
  public static func text(_ seconds: Double) -> String {
    guard seconds >= 1 else { return "\(Int((max(0, seconds) * 1000).rounded())) ms" }
    let whole = Int64(min(seconds.rounded(), 9e15))
    let (days, hours, minutes) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60)
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    if days > 0 { return "\(days)d\(two(hours))h" }
    if hours > 0 { return "\(hours)h\(two(minutes))m" }
    if minutes > 0 { return "\(minutes)m\(two(whole % 60))s" }
    return "\(whole)s"
  }

  private static func number(_ text: Substring) -> Double? {
    guard let first = text.first, first.isASCII, first.isNumber || first == "." else { return nil }
    guard text.allSatisfy({ $0 == "." || ($0.isASCII && $0.isNumber) }) else { return nil }
    return Double(text)
  }

  private static func secondsPer(_ unit: Substring) -> Double? {
    switch unit {
    case "ms": 0.001
    case "s": 1
    case "m": 60
    case "h": 3600
    case "d": 86400
    default: nil
    }
  }
}
