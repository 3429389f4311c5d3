extension Device {
  /// Everything is data.
  public func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    [Extent(offset: offset, length: length, kind: .data)]
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    throw StageError("not-supported", "this device can't be read")
  }

  public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    throw StageError("not-supported", "this device can't be written")
  }

  /// Writes zeros.
  public func zero(offset: UInt64, length: UInt64) throws {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(min(length, 1 << 20)), alignment: 4096)
    defer { piece.deallocate() }
    piece.initializeMemory(as: UInt8.self, repeating: 0)
    var done: UInt64 = 0
    while done < length {
      let count = min(length - done, UInt64(piece.count))
      try write(UnsafeRawBufferPointer(rebasing: piece[..<Int(count)]), at: offset + done)
      done += count
    }
  }

  public func trim(offset: UInt64, length: UInt64) throws {}
  public func flush() throws {}
  public func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? { nil }
  public func checkpoint(offset: UInt64) throws -> [UInt8]? { nil }
  public func commit(_ commit: Commit) throws {}

  public func control(verb: String, json: String) throws -> String {
    throw StageError("not-supported", "this device knows no command \(verb)")
  }

  public func close() {}
}
