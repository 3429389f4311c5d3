import LinuxSystem

/// The L1 table: where the second tables lie.
enum Qcow2Tables {
  /// The bits of an entry that are an offset in the file.
  static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00

  /// The offsets of as many second tables as the disk has, 0 for what is all zero. Each lies in the file, and none is named
  /// twice: so what there is to read of them is bounded by the file's length, whatever size the disk claims to have.
  static func read(_ header: Qcow2Header, file: any ImageBytes, fileSize: UInt64) throws -> [UInt64] {
    let perTable = header.bytesPerTable
    let count = header.virtualSize / perTable + (header.virtualSize % perTable == 0 ? 0 : 1)
    guard count > 0 else { return [] }
    let l1 = header.l1.offset..<(header.l1.offset.saturating(adding: header.l1.entries * 8))
    guard l1.lowerBound != 0 else { throw Qcow2Error(file.path, "its L1 table lies over the header") }
    guard l1.lowerBound.saturating(adding: count * 8) <= fileSize else {
      throw Qcow2Error(
        file.path, "its L1 table of \(count) entries at \(l1.lowerBound) ends beyond the file's \(fileSize) bytes",
        hint: cutOffHint)
    }
    var tables = try readBigEndian(file, count: Int(count), at: l1.lowerBound)
    for index in tables.indices {
      let offset = tables[index] & offsetMask
      tables[index] = offset
      guard offset != 0 else { continue }
      func bad(_ how: String, hint: String = "") -> Qcow2Error {
        Qcow2Error(file.path, "entry \(index) of the L1 table points to an L2 table at \(offset), \(how)", hint: hint)
      }
      guard offset % header.clusterSize == 0 else { throw bad("which is not where a cluster begins") }
      guard offset + header.clusterSize <= fileSize else {
        throw bad("which ends beyond the file's \(fileSize) bytes", hint: cutOffHint)
      }
      guard !l1.overlaps(offset..<(offset + header.clusterSize)) else { throw bad("which lies over the L1 table") }
    }
    try checkDistinct(tables, path: file.path)
    return tables
  }

  private static func checkDistinct(_ tables: [UInt64], path: String) throws(Qcow2Error) {
    let sorted = tables.filter { $0 != 0 }.sorted()
    for (one, next) in zip(sorted, sorted.dropFirst()) where one == next {
      throw Qcow2Error(path, "two entries of the L1 table point to the same L2 table at \(one)")
    }
  }
}

let cutOffHint = "the file was cut off, or is not all there yet; get it again"

/// Throws where the file ends before.
func readBigEndian(_ file: any ImageBytes, count: Int, at offset: UInt64) throws -> [UInt64] {
  try [UInt64](unsafeUninitializedCapacity: count) { words, filled in
    let bytes = UnsafeMutableRawBufferPointer(start: words.baseAddress, count: count * 8)
    let read = try file.read(into: bytes, at: offset)
    guard read == bytes.count else { throw Qcow2Error(file.path, "it ends at byte \(offset + UInt64(read)) now") }
    for index in 0..<count { words[index] = UInt64(bigEndian: words[index]) }
    filled = count
  }
}

extension UInt64 {
  func saturating(adding other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
