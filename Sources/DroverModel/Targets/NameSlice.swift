/// A part of all names that blocks can have, which are hashes and so lie everywhere alike. Slices that follow each other
/// cover everything once, whatever comes and goes between them, and which blocks one holds depends on their names alone.
public struct NameSlice: Sendable, Hashable {
  /// The first sixteen digits of the first name, as a number.
  public var start: UInt64
  /// Of the first name that is no more in it; nil: it reaches to the end.
  public var end: UInt64?

  public init(start: UInt64, end: UInt64?) {
    self.start = start
    self.end = end
  }

  /// The slice of that share of all names from `start` on. It ends where the names end, so ten slices of a tenth, each from
  /// the end of the one before, are a round.
  public init(start: UInt64, share: Double) {
    // Of a third, three must do, whatever the rounding.
    let end = Double(start) + max(0, min(1, share)) * 0x1p64 + 0x1p40
    self.init(start: start, end: end >= 0x1p64 ? nil : UInt64(end))
  }

  /// Of all names.
  public var share: Double { ((end.map { Double($0) } ?? 0x1p64) - Double(start)) / 0x1p64 }

  /// Sixteen hexadecimal digits, as they begin a name.
  public static func digits(_ prefix: UInt64) -> String {
    let digits = String(prefix, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
