import Backupstore

/// Bytes to read, from many threads at once. Offsets and lengths are bytes and lie within `size`.
protocol DiskView: AnyObject, Sendable {
  var size: UInt64 { get }
  /// Bytes that are data; nil where only reading could tell.
  var dataSize: UInt64? { get }
  /// What it is best read in.
  var blockSize: UInt64 { get }
  /// Changes with the content.
  var identity: String { get }
  /// In order and without gaps; at least one, perhaps not to the end of the range. What is no data reads as zero, or is
  /// somebody else's business.
  func extents(offset: UInt64, length: UInt64) throws -> [StoredExtent]
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws
  func close()
}
