import Backupstore

/// An image's file, as it was backed up.
final class ImageView: DiskView {
  let restore: ImageRestore

  init(_ restore: ImageRestore) { self.restore = restore }

  var size: UInt64 { restore.config.size }
  var dataSize: UInt64? { restore.config.dataSize }
  var blockSize: UInt64 { ImageConfig.blockSize }
  var identity: String { restore.identity }

  func extents(offset: UInt64, length: UInt64) -> [StoredExtent] { restore.extents(offset: offset, length: length) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try restore.read(into: buffer, at: offset)
  }

  func close() { restore.close() }
}
