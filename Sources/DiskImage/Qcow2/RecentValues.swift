/// The values that were asked for last, a few of them.
struct RecentValues<Value: Sendable>: Sendable {
  private var slots: [UInt64: (value: Value, used: UInt64)] = [:]
  private var clock: UInt64 = 0
  /// At least 1. Small: making room looks at all of them.
  let capacity: Int

  init(capacity: Int) { self.capacity = capacity }

  /// As many values of `length` bytes as go into 8 MiB, at least 4 and at most 64.
  static func capacity(of length: Int) -> Int { min(max(8 << 20 / length, 4), 64) }

  mutating func value(of key: UInt64) -> Value? {
    clock += 1
    slots[key]?.used = clock
    return slots[key]?.value
  }

  mutating func keep(_ value: Value, of key: UInt64) {
    if slots[key] == nil, slots.count >= capacity, let oldest = slots.min(by: { $0.value.used < $1.value.used }) {
      slots[oldest.key] = nil
    }
    clock += 1
    slots[key] = (value, clock)
  }
}
