import CLinux
import Glibc

/// A run of a file: bytes that were written, or a hole that reads as zero.
public struct FileExtent: Sendable, Hashable {
  public var offset: UInt64
  public var length: UInt64
  public var isData: Bool
  public init(offset: UInt64, length: UInt64, isData: Bool) {
    self.offset = offset
    self.length = length
    self.isData = isData
  }
}

extension OpenFile {
  /// Describes `[offset, offset + length)` in order and without gaps, in at most `limit` runs, so perhaps not to its end.
  ///
  /// By SEEK_DATA and SEEK_HOLE: right for images, where an extent that was never written reads as zeros like a hole.
  /// Not for the layers of a volume, where such an extent hides older data. A file system that knows no holes answers one
  /// run of data. What lies beyond the end of the file is a hole.
  public func extents(offset: UInt64, length: UInt64, limit: Int = .max) throws(SystemError) -> [FileExtent] {
    var runs: [FileExtent] = []
    var at = offset
    let end = offset + length
    while at < end && runs.count < limit {
      let data = clinux_seek_data(descriptor, Int64(at))
      if data < 0 && Glibc.errno == ENXIO {
        runs.append(FileExtent(offset: at, length: end - at, isData: false))
        break
      }
      if data < 0 && Glibc.errno == EINVAL {
        runs.append(FileExtent(offset: at, length: end - at, isData: true))
        break
      }
      guard data >= 0 else { throw .last("seek to data in", path: path) }
      if UInt64(data) > at {
        let holeEnd = min(UInt64(data), end)
        runs.append(FileExtent(offset: at, length: holeEnd - at, isData: false))
        at = holeEnd
        continue
      }
      let hole = clinux_seek_hole(descriptor, Int64(at))
      // The file was cut between the two calls: the next round answers a hole.
      if hole < 0 && Glibc.errno == ENXIO { continue }
      guard hole >= 0 else { throw .last("seek to hole in", path: path) }
      let dataEnd = min(UInt64(hole), end)
      guard dataEnd > at else { continue }
      runs.append(FileExtent(offset: at, length: dataEnd - at, isData: true))
      at = dataEnd
    }
    return runs
  }
}
