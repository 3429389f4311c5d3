import Glibc

/// Room for a read whose end can be told: what a device writes beyond is noticed.
struct GuardedBuffer: ~Copyable {
  /// For the caller to read.
  let bytes: UnsafeMutableRawBufferPointer
  private let whole: UnsafeMutableRawBufferPointer
  private static let margin = 4096
  private static let mark: UInt8 = 0xC3

  init(_ count: Int) {
    whole = .allocate(byteCount: count + 2 * Self.margin, alignment: 4096)
    whole.initializeMemory(as: UInt8.self, repeating: Self.mark)
    bytes = UnsafeMutableRawBufferPointer(rebasing: whole[Self.margin..<(Self.margin + count)])
  }

  deinit { whole.deallocate() }

  /// Reads into the beginning.
  func read(_ device: any BlockDevice, _ length: Int, at offset: UInt64) throws -> Int {
    // What was read before is no proof of what is read now.
    if length > 0 { memset(bytes.baseAddress!, Int32(Self.mark), length) }
    let target = UnsafeMutableRawBufferPointer(rebasing: bytes[..<length])
    let count = try device.read(into: target, at: offset)
    guard isMarked(0..<Self.margin), isMarked((Self.margin + bytes.count)..<whole.count) else {
      throw CheckFailure("a read of \(length) bytes at \(offset) wrote beyond its buffer")
    }
    return count
  }

  private func isMarked(_ range: Range<Int>) -> Bool {
    // Marked and equal to itself, moved by one byte.
    whole[range.lowerBound] == Self.mark
      && memcmp(whole.baseAddress! + range.lowerBound, whole.baseAddress! + range.lowerBound + 1, range.count - 1) == 0
  }
}

/// Random ranges that are the same in each run.
struct Steps {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func shuffle<T>(_ items: inout [T]) {
    for index in items.indices.reversed() where index > 0 { items.swapAt(index, Int(next() % UInt64(index + 1))) }
  }

  /// In whole blocks of the device, or up to its end; nil for an empty one.
  mutating func range(in info: DeviceInfo, of size: Int) -> Range<Int>? {
    guard size > 0 else { return nil }
    let block = Int(info.blockMin)
    let begin = Int(next() % UInt64(size)) / block * block
    let most = max(1, (info.blockMax > 0 ? Int(info.blockMax) : 1 << 20) / block)
    let end = min(size, begin + block * (1 + Int(next() % UInt64(min(most, (1 << 20) / min(block, 1 << 20) + 1)))))
    return begin..<end
  }
}
