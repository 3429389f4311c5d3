public import LinuxSystem

/// What has an image file's bytes: the file, or something that reads as one. From many threads at once.
public protocol ImageBytes: AnyObject, Sendable {
  /// For messages.
  var path: String { get }
  /// Bytes, and whether runs of them are known to be holes, which read as zero.
  func shape() throws -> (size: UInt64, hasHoles: Bool)
  /// Reads until the buffer is full or the bytes end; returns how many were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int
  /// Describes the range in order and without gaps, in at most `limit` runs, so perhaps not to its end.
  func extents(offset: UInt64, length: UInt64, limit: Int) throws -> [FileExtent]
}

extension ImageBytes {
  /// `length` bytes from `offset` on, or what there is of them.
  func bytes(_ length: Int, at offset: UInt64) throws -> ArraySlice<UInt8> {
    var bytes = [UInt8](repeating: 0, count: length)
    return bytes[..<(try bytes.withUnsafeMutableBytes { try read(into: $0, at: offset) })]
  }
}

extension OpenFile: ImageBytes {
  public func shape() throws -> (size: UInt64, hasHoles: Bool) {
    let status = try status()
    return (status.size, status.allocatedBytes < status.size)
  }
}
