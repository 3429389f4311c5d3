/// A set of block names in eight bytes each, for stores with millions of blocks: 80 MB for ten million.
///
/// Only the first 16 digits of a name are kept. A name that is not in the set seems to be in it when another one begins
/// alike, by chance once in a million sets of ten million names, and where somebody made the names up. So it is asked only where a wrong
/// "yes" does no harm: a block that is kept although nobody needs it.
struct NamePrefixes: Sendable {
  /// Ascending, each once.
  private(set) var sorted: [UInt64] = []
  private var pending: [UInt64] = []

  init() {}

  var count: Int { sorted.count }
  var isEmpty: Bool { sorted.isEmpty && pending.isEmpty }

  mutating func insert(_ name: BlockName) {
    pending.append(name.prefix)
    // What many backups share is kept once.
    if pending.count >= max(1 << 16, sorted.count / 2) { settle() }
  }

  /// To be called after the last insertion and before the first question.
  mutating func settle() {
    guard !pending.isEmpty else { return }
    pending.sort()
    var merged: [UInt64] = []
    merged.reserveCapacity(sorted.count + pending.count)
    var (left, right) = (0, 0)
    while left < sorted.count || right < pending.count {
      let next: UInt64
      if right == pending.count || (left < sorted.count && sorted[left] <= pending[right]) {
        next = sorted[left]
        left += 1
      } else {
        next = pending[right]
        right += 1
      }
      if merged.last != next { merged.append(next) }
    }
    sorted = merged
    pending = []
  }

  func contains(_ name: BlockName) -> Bool { index(of: name.prefix) != nil }

  /// Takes out whatever is in the other one too.
  mutating func subtract(_ other: NamePrefixes) {
    var next = 0
    sorted.removeAll { prefix in
      while next < other.sorted.count, other.sorted[next] < prefix { next += 1 }
      return next < other.sorted.count && other.sorted[next] == prefix
    }
  }

  private func index(of prefix: UInt64) -> Int? {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < prefix { low = middle + 1 } else { high = middle }
    }
    return low < sorted.count && sorted[low] == prefix ? low : nil
  }
}
