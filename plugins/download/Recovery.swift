/// Decides how often, and after what pause, a connection that breaks is continued within one attempt.
struct Recovery {
  /// Connections in a row that brought less than `fruit`.
  private var fruitless = 0
  private var lastOffset: UInt64 = 0
  private let step: Double

  static let fruit: UInt64 = 64 << 10
  static let mostFruitless = 5

  /// The pauses are 0 and then 2, 4, 8 and 16 times `step`, in seconds.
  init(step: Double = 0.25) { self.step = step }

  /// Seconds to wait before the content is asked for again from `offset` on; nil: give up for now.
  mutating func pause(at offset: UInt64) -> Double? {
    if offset >= lastOffset + Self.fruit { fruitless = 0 }
    lastOffset = offset
    fruitless += 1
    guard fruitless <= Self.mostFruitless else { return nil }
    return fruitless == 1 ? 0 : step * Double(1 << (fruitless - 1))
  }
}
