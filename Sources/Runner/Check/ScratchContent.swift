import CDroverPlugin

/// Bytes for a check: noise, runs that are said to be zero, and zeros that are said to be data. The same size gives the
/// same bytes.
struct ScratchContent: Sendable {
  var bytes: [UInt8]
  /// In order, without gaps.
  var extents: [drover_extent]

  /// What was written by another stage: all of it data.
  init(written bytes: [UInt8]) {
    self.bytes = bytes
    extents =
      bytes.isEmpty
      ? [] : [drover_extent(offset: 0, length: UInt64(bytes.count), type: DROVER_EXTENT_DATA, reserved: 0)]
  }

  init(size: Int) {
    bytes = [UInt8](repeating: 0, count: size)
    extents = []
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15 &+ UInt64(size)
    func random() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
    var at = 0
    while at < size {
      let length = min(size - at, 512 * Int(1 + random() % 700))
      let kind = random() % 4
      if kind < 2 {
        var index = at
        while index < at + length {
          withUnsafeBytes(of: random()) { word in
            for offset in 0..<min(8, at + length - index) { bytes[index + offset] = word[offset] }
          }
          index += 8
        }
      }
      let type = kind == 3 ? DROVER_EXTENT_ZERO : DROVER_EXTENT_DATA
      extents.append(drover_extent(offset: UInt64(at), length: UInt64(length), type: type, reserved: 0))
      at += length
    }
  }
}
