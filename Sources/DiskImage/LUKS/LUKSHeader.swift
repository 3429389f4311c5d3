/// What a LUKS header says, read without any key. Source: LUKS2 On-Disk Format Specification 1.1.1, and LUKS On-Disk
/// Format Specification 1.2.3 for version 1.
///
/// Nothing in it was proven but the checksum of a version 2 header; see `problem`.
public struct LUKSHeader: Sendable, Hashable {
  /// Bytes of the header that Drover writes, as Longhorn does: the ciphertext begins there.
  public static let newLength: UInt64 = 16 << 20

  /// 1 or 2.
  public var version: Int
  public var uuid: String
  /// For people, as cryptsetup spells it: `aes-xts-plain64`.
  public var cipher: String
  /// Bits of the volume key.
  public var keySize: Int
  public var keySlots: [KeySlot]
  /// Bytes that are encrypted together.
  public var sectorSize: Int
  /// Where the ciphertext begins, in bytes.
  public var dataOffset: UInt64
  /// Bytes of ciphertext; nil: to the end of the image.
  public var dataSize: UInt64?
  /// Tweak of the first sector, in units of 512 bytes.
  public var tweak: UInt64
  /// All metadata and key slots lie below, in bytes.
  public var length: UInt64
  /// The first copy of a version 2 header does not hold, and this is the second.
  public var isPrimaryDamaged = false
  /// Iterations of PBKDF2 to which a volume key is compared, the highest of all.
  var digestIterations: UInt64 = 0
  /// What in it Drover does not know, or what can't be; nil: nothing.
  var fault: Problem?

  public struct KeySlot: Sendable, Hashable {
    public var number: Int
    /// `pbkdf2`, `argon2i` or `argon2id`.
    public var pbkdf: String
    /// Iterations, of argon2 its time cost.
    public var iterations: UInt64
    /// KiB; 0 for pbkdf2.
    public var memory: UInt64
    /// 0 for pbkdf2.
    public var threads: UInt64
    /// Where its key material lies.
    var offset: UInt64
    var size: UInt64
  }

  /// Why an image can't be opened.
  public enum Problem: Sendable, Hashable {
    /// It may be right, but Drover can't read it.
    case unsupported(String)
    /// It contradicts itself or the image, or wants more than a header may.
    case untrue(String)

    public var text: String {
      switch self {
      case .unsupported(let text), .untrue(let text): text
      }
    }
  }
}
