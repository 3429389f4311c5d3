import Glibc
import LinuxSystem

/// The open file of one layer. From many threads at once.
final class LayerFile: Sendable {
  let name: String
  let file: OpenFile
  let inode: UInt64
  private let folder: VolumeFolder

  init(_ name: String, _ file: OpenFile, in folder: VolumeFolder) throws {
    self.name = name
    self.file = file
    self.folder = folder
    inode = try file.status().inode
  }

  /// Fills the buffer; what lies beyond the file's end reads as zero.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let count = try file.read(into: buffer, at: offset)
    if count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try folder.effect("write to \(name)")
    try file.write(buffer, at: offset)
  }

  func punch(offset: UInt64, length: UInt64) throws {
    try folder.effect("punch \(name)")
    try file.punchHole(offset: offset, length: length)
  }

  /// Zeros that hide what lies below, without being written where the file system can do that. Over a hole only.
  func allocate(offset: UInt64, length: UInt64) throws {
    try folder.effect("allocate in \(name)")
    let code = posix_fallocate(file.descriptor, off_t(offset), off_t(length))
    guard code == 0 else { throw SystemError("allocate in", path: file.path, errno: code) }
  }

  func truncate(to size: UInt64) throws {
    try folder.effect("truncate \(name)")
    try file.truncate(to: size)
  }

  /// What was written before survives a power cut.
  func sync() throws {
    try folder.effect("sync \(name)")
    try file.syncData()
  }

  /// What the layer has of the range, in whole sectors: see `OpenFile.allocatedRuns`.
  func runs(offset: UInt64, length: UInt64, limit: Int = 256) throws -> (runs: [AllocatedRun], until: UInt64) {
    let end = offset + length
    let found = try file.allocatedRuns(offset: offset, length: length, limit: limit)
    var runs: [AllocatedRun] = []
    runs.reserveCapacity(found.runs.count)
    for run in found.runs {
      let start = max(offset, run.offset / Volume.sectorSize * Volume.sectorSize)
      let stop = min(end, (run.end + Volume.sectorSize - 1) / Volume.sectorSize * Volume.sectorSize)
      if let last = runs.last, last.end >= start {
        runs[runs.count - 1].length = max(last.end, stop) - last.offset
      } else {
        runs.append(AllocatedRun(offset: start, length: stop - start))
      }
    }
    return (runs, max(found.until, runs.last?.end ?? offset))
  }

  /// Calls `body` with all of the layer's runs in the range, in order.
  func forEachRun(offset: UInt64, length: UInt64, _ body: (AllocatedRun) throws -> Void) throws {
    var at = offset
    while at < offset + length {
      let (runs, until) = try runs(offset: at, length: offset + length - at, limit: 1024)
      for run in runs { try body(run) }
      at = until
    }
  }
}
