import CLinux
import Glibc

/// A run of a file that its file system keeps blocks for.
public struct AllocatedRun: Sendable, Hashable {
  public var offset: UInt64
  public var length: UInt64
  public var end: UInt64 { offset + length }
  public init(offset: UInt64, length: UInt64) {
    self.offset = offset
    self.length = length
  }
}

extension OpenFile {
  /// The runs of `[offset, offset + length)` that have blocks, in order, cut to it: at most `limit`, and up to where they
  /// tell of the range. Beyond the end of the file there are none.
  ///
  /// By FIEMAP with SYNC, which writes out what the page cache holds of the file. A run that was allocated and never
  /// written counts, though it reads as zeros; SEEK_DATA would call it a hole. Fails with EOPNOTSUPP on a file system
  /// that can't tell, such as tmpfs.
  public func allocatedRuns(
    offset: UInt64, length: UInt64, limit: Int = 256
  ) throws(SystemError) -> (runs: [AllocatedRun], until: UInt64) {
    let end = offset + length
    guard length > 0 else { return ([], end) }
    let capacity = max(1, min(limit, 4096))
    var isLast: Int32 = 0
    let (extents, count) = unsafe withUnsafeTemporaryAllocation(of: clinux_extent.self, capacity: capacity) { buffer in
      let count = unsafe clinux_extents(
        descriptor, offset, length, buffer.baseAddress!, Int32(capacity), &isLast)
      return (count > 0 ? unsafe Array(buffer.prefix(Int(count))) : [], count)
    }
    guard count >= 0 else { throw .last("list the extents of", path: path) }
    var runs: [AllocatedRun] = []
    runs.reserveCapacity(extents.count)
    for extent in extents {
      let start = max(extent.offset, offset)
      let stop = min(extent.offset + extent.length, end)
      guard start < stop else { continue }
      if let last = runs.last, last.end == start {
        runs[runs.count - 1].length += stop - start
      } else {
        runs.append(AllocatedRun(offset: start, length: stop - start))
      }
    }
    return (runs, isLast != 0 ? end : extents.last.map { min(max($0.offset + $0.length, offset), end) } ?? end)
  }
}
