/// The fixed part of a qcow2 header, version 2 or 3. Source: QEMU, docs/interop/qcow2.rst, "Header".
struct Qcow2Header {
  /// Bytes to read from the file's start. Version 2 ends after 72 of them, version 3 has at least 104.
  static let length = 112
  static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xFB]

  var version: UInt32
  /// Where the name of the file below lies, in bytes. An offset of 0: there is none.
  var backingFile: (offset: UInt64, length: UInt32)
  var clusterBits: Int
  var virtualSize: UInt64
  /// 0: none, 1: AES, 2: LUKS.
  var encryption: UInt32
  var l1: (offset: UInt64, entries: UInt64)
  var features: Features
  /// Bytes; the extensions come after them.
  var headerLength: Int
  /// 0: deflate, 1: zstd.
  var compressionType: UInt8

  /// What a reader must know to read the image at all.
  struct Features: OptionSet {
    var rawValue: UInt64
    static let dirty = Features(rawValue: 1 << 0)
    static let corrupt = Features(rawValue: 1 << 1)
    static let dataFile = Features(rawValue: 1 << 2)
    static let compressionType = Features(rawValue: 1 << 3)
    static let extendedL2 = Features(rawValue: 1 << 4)
    static let known: Features = [.dirty, .corrupt, .dataFile, .compressionType, .extendedL2]
  }

  var clusterSize: UInt64 { 1 << clusterBits }
  var hasExtendedL2: Bool { features.contains(.extendedL2) }
  /// Entries of a second table, which is one cluster.
  var entriesPerTable: UInt64 { clusterSize / (hasExtendedL2 ? 16 : 8) }
  /// Bytes of the disk that a second table describes.
  var bytesPerTable: UInt64 { entriesPerTable << clusterBits }

  static func hasMagic(_ bytes: ArraySlice<UInt8>) -> Bool { bytes.starts(with: magic) }

  /// Throws unless everything in it can be true, read or not. Whatever the bytes are, nothing overflows.
  init(_ bytes: ArraySlice<UInt8>, path: String) throws(Qcow2Error) {
    func number(_ at: Int, _ length: Int) -> UInt64 { bytes.bigEndian(at, length) }
    func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws(Qcow2Error) {
      if !condition { throw Qcow2Error(path, problem()) }
    }
    try require(bytes.count >= 72 && Self.hasMagic(bytes), "it has no header")
    version = UInt32(number(4, 4))
    try require(version == 2 || version == 3, "version \(version) is not known, only 2 and 3")
    backingFile = (number(8, 8), UInt32(number(16, 4)))
    let bits = number(20, 4)
    try require((9...21).contains(bits), "its clusters have 2^\(bits) bytes, which only 9 to 21 may be")
    clusterBits = Int(bits)
    virtualSize = number(24, 8)
    encryption = UInt32(number(32, 4))
    try require(encryption <= 2, "encryption method \(encryption) is not known")
    l1 = (number(40, 8), number(36, 4))
    features = []
    headerLength = 72
    compressionType = 0
    let clusterSize = UInt64(1) << bits
    if version == 3 {
      try require(bytes.count >= 104, "its header is cut off after \(bytes.count) bytes")
      features = Features(rawValue: number(72, 8))
      let length = number(100, 4)
      try require(
        length >= 104 && length <= clusterSize,
        "its header says that it has \(length) bytes; at least 104 and at most a cluster of \(clusterSize) can be")
      headerLength = Int(length)
      compressionType = headerLength > 104 && bytes.count > 104 ? UInt8(number(104, 1)) : 0
    }
    try require(
      !hasExtendedL2 || clusterBits >= 14,
      "it has subclusters, but clusters of \(clusterSize) bytes are too small to have 32 of them")
    let refcounts = number(48, 8)
    try require(l1.offset % clusterSize == 0, "its L1 table at \(l1.offset) does not begin at a cluster")
    try require(
      refcounts % clusterSize == 0 && refcounts != 0, "its reference counts can't begin at \(refcounts)")
    try require(
      l1.entries <= 32 << 20 / 8, "its L1 table has \(l1.entries) entries, but at most \(32 << 20 / 8) are possible")
    try require(virtualSize <= UInt64(Int64.max), "a disk of \(virtualSize) bytes is not possible")
    let (reach, overflow) = l1.entries.multipliedReportingOverflow(by: bytesPerTable)
    try require(
      overflow || virtualSize <= reach,
      "its disk has \(virtualSize) bytes, but its L1 table of \(l1.entries) entries reaches only to \(reach)")
  }
}

extension ArraySlice<UInt8> {
  /// `at` counts from the slice's start.
  func bigEndian(_ at: Int, _ length: Int) -> UInt64 {
    self[(startIndex + at)..<(startIndex + at + length)].reduce(0) { $0 << 8 | UInt64($1) }
  }
}
