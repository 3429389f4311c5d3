import Compression
public import LinuxSystem
import Synchronization

/// The disk that a guest sees in a qcow2 file, read only. Source: QEMU, docs/interop/qcow2.rst.
///
/// Takes versions 2 and 3 with every cluster size, compression, subclusters and internal snapshots, which are not looked
/// at. An image that was not closed (the dirty bit) is read: only its reference counts may be wrong. Refused are a backing
/// file, an external data file, encryption, features that are not known, an image that QEMU has marked as corrupt, and
/// every table or cluster that does not lie inside the file.
///
/// All calls block and may be used from many threads at once. Memory: 8 bytes for each entry of the L1 table that the
/// disk's size needs, at most 32 MiB; caches of 8 MiB each for second tables and for unpacked clusters; and for each
/// thread that reads compressed clusters as much as its longest read of them, at most 6 MiB. The file must not change.
public final class Qcow2Image: Sendable {
  public let file: any ImageBytes
  /// Bytes of the disk.
  public let size: UInt64
  let header: Qcow2Header
  /// Bytes of the file when it was opened, which everything in it is checked against.
  let fileSize: UInt64
  /// Something in the file is a hole, so that clusters may be zero that the tables call data.
  let hasHoles: Bool
  /// Where each second table lies; 0: everything that it would describe is zero.
  let tables: [UInt64]
  private let recentTables: Mutex<RecentValues<Qcow2Table>>
  private let unpacking: ClusterUnpacking

  /// Whether the file begins as qcow2 does; it need not be one that can be read.
  public static func hasMagic(_ file: any ImageBytes) throws -> Bool {
    Qcow2Header.hasMagic(try file.bytes(Qcow2Header.magic.count, at: 0))
  }

  /// Reads the header and the L1 table. Throws `Qcow2Error` where the image can't be read, and what the bytes throw.
  public init(_ file: any ImageBytes) throws {
    self.file = file
    (fileSize, hasHoles) = try file.shape()
    header = try Qcow2Header(file.bytes(Qcow2Header.length, at: 0), path: file.path)
    size = header.virtualSize
    try Qcow2Refusals(header, file: file).check()
    tables = try Qcow2Tables.read(header, file: file, fileSize: fileSize)
    let tableBytes = Int(header.clusterSize)
    recentTables = Mutex(RecentValues(capacity: RecentValues<Qcow2Table>.capacity(of: tableBytes)))
    unpacking = ClusterUnpacking(
      header.compressionType == 1 ? .zstd : .deflate, file: file, fileSize: fileSize,
      clusterSize: Int(header.clusterSize))
  }

  /// Fills the buffer with the disk's bytes from `offset` on. All of them must lie on the disk.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    var reader = Qcow2Reading(file: file, unpacking: unpacking, buffer: buffer, offset: offset)
    try forEachPart(offset: offset, length: UInt64(buffer.count)) { part in
      try reader.add(part)
      return true
    }
    try reader.finish()
  }

  /// Describes `[offset, offset + length)` of the disk in order and without gaps, in at most `limit` runs, so perhaps not
  /// to its end. No data is read; what the tables call data but is a hole of the file is none.
  public func extents(offset: UInt64, length: UInt64, limit: Int = .max) throws -> [FileExtent] {
    var runs: [FileExtent] = []
    try forEachRun(offset: offset, length: length) { run in
      if let last = runs.last, last.isData == run.isData {
        runs[runs.count - 1].length += run.length
      } else if runs.count < limit {
        runs.append(run)
      } else {
        return false
      }
      return true
    }
    return runs
  }

  /// Bytes of the disk that are data, as `extents` tells. Reads all second tables, and finds what is wrong in them.
  public func dataSize() throws -> UInt64 {
    var data: UInt64 = 0
    try forEachRun(offset: 0, length: size) { run in
      if run.isData { data += run.length }
      return true
    }
    return data
  }

  /// The second table that describes the disk from `index * bytesPerTable` on; nil: it is all zero there.
  func table(_ index: Int) throws -> Qcow2Table? {
    let offset = tables[index]
    guard offset != 0 else { return nil }
    if let known = recentTables.withLock({ $0.value(of: offset) }) { return known }
    let table = try Qcow2Table(file, offset: offset, header: header, mayBeHole: hasHoles)
    recentTables.withLock { $0.keep(table, of: offset) }
    return table
  }
}
