/// The fixed part of a qcow2 header, version 2 or 3. Source: QEMU, docs/interop/qcow2.rst.
struct Qcow2Header {
  /// Bytes to read from the file's start: what version 3 has at least. Version 2 ends after 72 of them.
  static let length = 104

  var version: UInt32
  var backingFileOffset: UInt64
  var clusterBits: UInt32
  var virtualSize: UInt64
  var encryption: UInt32

  /// Nil unless everything in it can be true. Whatever the bytes are, nothing overflows.
  init?(_ bytes: ArraySlice<UInt8>) {
    func number(_ at: Int, _ length: Int) -> UInt64 {
      bytes[(bytes.startIndex + at)..<(bytes.startIndex + at + length)].reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard bytes.count >= 72, bytes.starts(with: [0x51, 0x46, 0x49, 0xFB]) else { return nil }
    version = UInt32(number(4, 4))
    backingFileOffset = number(8, 8)
    clusterBits = UInt32(number(20, 4))
    virtualSize = number(24, 8)
    encryption = UInt32(number(32, 4))
    guard version == 2 || version == 3, (9...21).contains(clusterBits), encryption <= 2 else { return nil }
    if version == 3 {
      guard bytes.count >= Self.length, number(100, 4) >= 104, number(100, 4) <= 1 << clusterBits else { return nil }
    }
    let tables = (l1: number(40, 8), refcounts: number(48, 8))
    let inCluster = (UInt64(1) << clusterBits) - 1
    guard tables.l1 & inCluster == 0, tables.refcounts & inCluster == 0, tables.refcounts != 0 else { return nil }
    // Each entry of the first table stands for one second table: a cluster of 8-byte entries, one a cluster.
    let bytesPerEntry = UInt64(1) << (2 * clusterBits - 3)
    let entries = number(36, 4)
    guard entries <= 32 << 20 / 8, virtualSize <= UInt64(Int64.max) else { return nil }
    let (reach, overflow) = entries.multipliedReportingOverflow(by: bytesPerEntry)
    guard overflow || virtualSize <= reach else { return nil }
  }
}
