public import LinuxSystem

/// Whether an image's bytes are encrypted, told from its header.
public enum LUKSProbe: Sendable, Hashable {
  case plain
  case encrypted(LUKSHeader)
  /// It begins as an encrypted image does, but neither copy of its header holds. Says what is wrong.
  case damaged(String)

  /// Fills the buffer with what lies at the offset.
  public typealias Read = (_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Void

  /// Whatever the bytes are, it reads at most two copies of 4 MiB and a few small pieces.
  /// - Throws: Only what `read` throws.
  public static func of(size: UInt64, read: Read) throws -> LUKSProbe {
    guard size >= 4096 else { return .plain }
    let start = try bytes(4096, at: 0, read)
    if start.starts(with: LUKS1Layout.magic) {
      switch BigEndian(start).number(6, 2) {
      case 1: return LUKS1Layout.header(start)
      case 2: break
      case let version: return .damaged("it is of version \(version), which nobody knows")
      }
    } else if isSomethingElse(start) {
      return .plain
    }
    return try newest(start, size: size, read: read)
  }

  public static func of(_ file: OpenFile) throws -> LUKSProbe {
    try of(size: file.size()) { buffer, offset in
      let count = try file.read(into: buffer, at: offset)
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  static func bytes(_ count: Int, at offset: UInt64, _ read: Read) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try read($0, offset) }
    return bytes
  }

  /// Disks that were encrypted once may still have the second copy of a header in a gap before their first partition.
  private static func isSomethingElse(_ start: [UInt8]) -> Bool {
    func has(_ bytes: [UInt8], at offset: Int) -> Bool { start[offset...].starts(with: bytes) }
    return has([0x55, 0xAA], at: 510) || has(Array("EFI PART".utf8), at: 512) || has(Array("XFSB".utf8), at: 0)
      || has(Array("LABELONE".utf8), at: 512) || has([0x53, 0xEF], at: 1080) || has([0x51, 0x46, 0x49, 0xFB], at: 0)
      || has(Array("SWAPSPACE2".utf8), at: 4086)
  }

  /// The second copy lies where the first says, or, where that says nothing, wherever it can.
  private static func newest(_ start: [UInt8], size: UInt64, read: Read) throws -> LUKSProbe {
    let isMarked = start.starts(with: LUKS1Layout.magic)
    let first: LUKS2Copy.Outcome =
      isMarked ? try LUKS2Copy.read(at: 0, size: size, read: read) : .broken("its first bytes are overwritten")
    var second = LUKS2Copy.Outcome.absent
    let places = if case .whole(let copy) = first { [copy.length] } else { LUKS2Copy.lengths }
    for place in places where place + 4096 <= size {
      second = try LUKS2Copy.read(at: place, size: size, read: read)
      if case .absent = second { continue }
      break
    }
    switch (first, second) {
    case (.whole(let copy), .whole(let other)):
      return .encrypted((other.sequence > copy.sequence ? other : copy).header)
    case (.whole(let copy), _): return .encrypted(copy.header)
    case (_, .whole(let copy)):
      var header = copy.header
      header.isPrimaryDamaged = true
      return .encrypted(header)
    case (.broken(let reason), .broken(let other)):
      return .damaged("\(reason), and of the second copy \(other)")
    case (.broken(let reason), .absent):
      return isMarked ? .damaged("\(reason), and there is no second copy") : .plain
    case (.absent, _): return .plain
    }
  }
}
