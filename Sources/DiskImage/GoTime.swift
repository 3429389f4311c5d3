/// A time as Go's `Time.String()` prints it in UTC, which Longhorn's sidecars hold:
/// `2026-01-05 10:00:02.123456789 +0000 UTC`. Zeros at the end of the fraction are left out, and the point with them.
public func goTime(nanoseconds: Int64) -> String {
  let billion: Int64 = 1_000_000_000
  let seconds = nanoseconds.flooringQuotient(by: billion)
  let fraction = nanoseconds - seconds * billion
  let days = seconds.flooringQuotient(by: 86400)
  let second = seconds - days * 86400
  let date = civilDate(daysSince1970: days)
  var text = "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))"
  text += " \(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
  if fraction > 0 {
    var digits = padded(fraction, 9)
    while digits.hasSuffix("0") { digits.removeLast() }
    text += ".\(digits)"
  }
  return text + " +0000 UTC"
}

private func padded(_ number: Int64, _ width: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Proleptic Gregorian. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
private func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
  let shifted = days + 719468
  let era = shifted.flooringQuotient(by: 146097)
  let dayOfEra = shifted - era * 146097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shiftedMonth = (5 * dayOfYear + 2) / 153
  let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
}

extension Int64 {
  fileprivate func flooringQuotient(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
