import Backupstore

/// A volume's disk: its own blocks, and below them its backing image.
final class VolumeView: DiskView {
  private let restore: VolumeRestore
  /// Nil: below the volume's own blocks there is nothing.
  private let base: (any DiskView)?

  /// Closes both with itself.
  init(_ restore: VolumeRestore, over base: (any DiskView)?) {
    self.restore = restore
    self.base = base
  }

  var size: UInt64 { restore.size }
  var blockSize: UInt64 { restore.blockSize }

  var dataSize: UInt64? {
    guard let base else { return restore.dataSize }
    return base.dataSize.map { min(restore.size, restore.dataSize + $0) }
  }

  var identity: String { base.map { "\(restore.identity)+\($0.identity)" } ?? restore.identity }

  func extents(offset: UInt64, length: UInt64) throws -> [StoredExtent] {
    var extents: [StoredExtent] = []
    for own in restore.extents(offset: offset, length: length, limit: 64) {
      guard !own.isData, let base, own.offset < base.size else {
        extents.append(own)
        continue
      }
      let below = min(own.length, base.size - own.offset)
      let found = try base.extents(offset: own.offset, length: below)
      extents += found
      let end = found.last.map { $0.offset + $0.length } ?? own.offset
      // The base did not tell all of it: whoever wants the rest asks again.
      guard end == own.offset + below else { return extents }
      if below < own.length {
        extents.append(StoredExtent(offset: end, length: own.length - below, isData: false))
      }
    }
    return extents
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    var done = 0
    while done < buffer.count {
      for own in restore.extents(offset: offset + UInt64(done), length: UInt64(buffer.count - done)) {
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + Int(own.length))])
        if own.isData { try restore.read(into: piece, at: own.offset) } else { try readBelow(piece, own.offset) }
        done += piece.count
      }
    }
  }

  private func readBelow(_ piece: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws {
    var known = 0
    if let base, offset < base.size {
      known = Int(min(UInt64(piece.count), base.size - offset))
      try base.read(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<known]), at: offset)
    }
    UnsafeMutableRawBufferPointer(rebasing: piece[known...]).initializeMemory(as: UInt8.self, repeating: 0)
  }

  func close() {
    base?.close()
    restore.close()
  }
}
