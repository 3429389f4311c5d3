import OpenSSL

/// One of the two copies of a version 2 header: 4096 bytes in binary, and JSON up to its length, under a checksum.
struct LUKS2Copy {
  /// What it can be long, in bytes; the second copy begins where the first ends.
  static let lengths: [UInt64] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map { $0 << 10 }
  private static let secondMagic: [UInt8] = [0x53, 0x4B, 0x55, 0x4C, 0xBA, 0xBE]

  var length: UInt64
  /// Grows with every change; the copy with the higher one is the newer.
  var sequence: UInt64
  var header: LUKSHeader

  enum Outcome {
    case whole(LUKS2Copy)
    /// Nothing there looks like one.
    case absent
    case broken(String)
  }

  static func read(at offset: UInt64, size: UInt64, read: LUKSProbe.Read) throws -> Outcome {
    let fields = BigEndian(try LUKSProbe.bytes(4096, at: offset, read))
    guard fields.bytes.starts(with: offset == 0 ? LUKS1Layout.magic : secondMagic), fields.number(6, 2) == 2 else {
      return .absent
    }
    let length = fields.number(8, 8)
    guard lengths.contains(length), fields.number(256, 8) == offset, offset == 0 || offset == length else {
      return .broken("its place or its length is not what it says")
    }
    guard length <= size - offset else { return .broken("it is cut") }
    guard fields.text(72, 32) == "sha256" else { return .broken("its checksum is of an unknown kind") }
    var bytes = try LUKSProbe.bytes(Int(length), at: offset, read)
    let checksum = Array(fields[448, 32])
    bytes.replaceSubrange(448..<512, with: repeatElement(0, count: 64))
    guard bytes.withUnsafeBytes({ SHA256.hash($0) }) == checksum else {
      return .broken("its checksum is not that of its bytes")
    }
    guard let metadata = LUKS2Metadata(json: bytes[4096...]) else { return .broken("its metadata can't be read") }
    return .whole(
      LUKS2Copy(
        length: length, sequence: fields.number(16, 8),
        header: metadata.header(uuid: fields.text(168, 40), copyLength: length)))
  }
}
