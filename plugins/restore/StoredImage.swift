import Backupstore
import DiskImage
import LinuxSystem

/// A backed-up image's file for whoever reads image files. Never one that leaves out what is lost: what a table says must
/// be true.
final class StoredImage: ImageBytes {
  private let restore: ImageRestore

  init(_ restore: ImageRestore) { self.restore = restore }

  var path: String { "\(restore.url)" }

  func shape() -> (size: UInt64, hasHoles: Bool) {
    (restore.config.size, restore.config.dataSize < restore.config.size)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let size = restore.config.size
    let count = offset < size ? Int(min(UInt64(buffer.count), size - offset)) : 0
    try restore.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: min(offset, size))
    return count
  }

  func extents(offset: UInt64, length: UInt64, limit: Int) -> [FileExtent] {
    var runs = restore.extents(offset: offset, length: length, limit: limit).map {
      FileExtent(offset: $0.offset, length: $0.length, isData: $0.isData)
    }
    let end = runs.last.map { $0.offset + $0.length } ?? offset
    if end >= restore.config.size, end < offset + length, runs.count < limit {
      runs.append(FileExtent(offset: end, length: offset + length - end, isData: false))
    }
    return runs
  }
}
