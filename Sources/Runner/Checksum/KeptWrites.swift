/// Copies of what was written last, in bounded memory, until it is hashed: so it need not be read back.
///
/// A place belongs to whoever took or borrowed it, who alone touches its memory; all else is done under the lock of the
/// state that this is part of.
struct KeptWrites: ~Copyable {
  /// Longest write that is kept.
  static let longest = 2 << 20
  private static let most = 12

  final class Place: @unchecked Sendable {
    // Sendable: see above.
    fileprivate(set) var range: Range<UInt64> = 0..<0
    fileprivate var borrowers = 0
    fileprivate var isDropped = false
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: KeptWrites.longest, alignment: 4096)

    deinit { memory.deallocate() }

    func take(_ bytes: UnsafeRawBufferPointer) { memory.copyMemory(from: bytes) }

    /// Returns how many bytes it had for the beginning of `buffer`.
    func copy(from offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
      let count = min(Int(range.upperBound - offset), buffer.count)
      let start = Int(offset - range.lowerBound)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[start..<(start + count)]))
      return count
    }
  }

  private var free: [Place] = []
  private var made = 0
  private var kept: [Place] = []

  /// Nil: all are in use.
  mutating func take() -> Place? {
    if let place = free.popLast() { return place }
    guard made < Self.most else { return nil }
    made += 1
    return Place()
  }

  /// Nothing was written.
  mutating func giveUp(_ place: Place) { free.append(place) }

  mutating func keep(_ place: Place, at offset: UInt64, count: Int, isWanted: Bool) {
    place.range = offset..<(offset + UInt64(count))
    if isWanted { kept.append(place) } else { free.append(place) }
  }

  /// What holds `offset`, or else the first that begins after it and before `end`.
  func borrow(at offset: UInt64, before end: UInt64) -> Place? {
    let place = kept.filter { $0.range.upperBound > offset && $0.range.lowerBound < end }
      .min { $0.range.lowerBound < $1.range.lowerBound }
    place?.borrowers += 1
    return place
  }

  mutating func giveBack(_ place: Place) {
    place.borrowers -= 1
    guard place.borrowers == 0, place.isDropped else { return }
    place.isDropped = false
    free.append(place)
  }

  /// Forgets all that ends at `offset` or before.
  mutating func drop(below offset: UInt64 = .max) {
    let old = kept.filter { $0.range.upperBound <= offset }
    kept.removeAll { $0.range.upperBound <= offset }
    for place in old {
      if place.borrowers == 0 { free.append(place) } else { place.isDropped = true }
    }
  }
}
