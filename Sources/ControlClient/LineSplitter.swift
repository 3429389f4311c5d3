import DroverModel

/// Cuts a stream of bytes at its line ends.
struct LineSplitter {
  static let longestLine = 16 << 20
  private var pending: [UInt8] = []

  /// Bytes after the last line end; nil when there are none.
  var rest: [UInt8]? { pending.isEmpty ? nil : pending }

  /// Hands out each line that is complete; answers false as soon as `onLine` does.
  mutating func take(_ bytes: UnsafeRawBufferPointer, _ onLine: ([UInt8]) throws -> Bool) throws -> Bool {
    var start = bytes.startIndex
    while let end = bytes[start...].firstIndex(of: 10) {
      let line = pending + bytes[start..<end]
      pending = []
      start = end + 1
      guard try onLine(line) else { return false }
    }
    pending += bytes[start...]
    guard pending.count <= Self.longestLine else {
      throw Fault(.internalError, "the daemon sent a line of more than \(Self.longestLine) bytes")
    }
    return true
  }
}
