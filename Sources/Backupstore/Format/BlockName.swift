import OpenSSL

/// The name of a block: the first 32 bytes of the SHA-512 of its content. Source: longhorn-format, 4.1.
public struct BlockName: Hashable, Sendable, Comparable, CustomStringConvertible {
  // Big-endian, so that the order of names is that of their digits.
  private var words: (UInt64, UInt64, UInt64, UInt64)

  /// Of the block's content, uncompressed.
  public init(of block: UnsafeRawBufferPointer) {
    self = withUnsafeTemporaryAllocation(byteCount: BlockHash.length, alignment: 8) { hash in
      BlockHash.hash(block, into: hash)
      return BlockName(bytes: UnsafeRawBufferPointer(hash))
    }
  }

  /// Of each block that `bytes` consists of; the last one may be shorter than the others.
  static func names(of bytes: UnsafeRawBufferPointer, block: Int) -> [BlockName] {
    BlockHash.hashes(of: bytes, block: block).withUnsafeBytes { hashes in
      stride(from: 0, to: hashes.count, by: BlockHash.length).map {
        BlockName(bytes: UnsafeRawBufferPointer(rebasing: hashes[$0..<($0 + BlockHash.length)]))
      }
    }
  }

  /// 32 bytes.
  public init(bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count == BlockHash.length)
    func word(_ index: Int) -> UInt64 {
      UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
    }
    words = (word(0), word(1), word(2), word(3))
  }

  /// 64 lower-case hexadecimal digits; nil for anything else.
  public init?(_ text: some StringProtocol) {
    var text = String(text)
    guard let name = text.withUTF8({ BlockName(digits: $0) }) else { return nil }
    self = name
  }

  init?(digits: UnsafeBufferPointer<UInt8>) {
    guard digits.count == BlockHash.length * 2 else { return nil }
    func word(_ index: Int) -> UInt64? {
      var word: UInt64 = 0
      for digit in digits[(index * 16)..<(index * 16 + 16)] {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): word = word << 4 | UInt64(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): word = word << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
        default: return nil
        }
      }
      return word
    }
    guard let first = word(0), let second = word(1), let third = word(2), let fourth = word(3) else { return nil }
    words = (first, second, third, fourth)
  }

  /// 64 digits.
  public var description: String {
    var digits: [UInt8] = []
    append(to: &digits)
    return String(decoding: digits, as: UTF8.self)
  }

  /// The first sixteen digits, which order names as the names themselves do.
  var prefix: UInt64 { words.0 }

  /// Appends the 64 digits.
  func append(to digits: inout [UInt8]) {
    func append(_ word: UInt64) {
      for shift in stride(from: 60, through: 0, by: -4) {
        let value = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15
        digits.append(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10)
      }
    }
    append(words.0)
    append(words.1)
    append(words.2)
    append(words.3)
  }

  /// Writes the 32 bytes.
  func store(into bytes: UnsafeMutableRawBufferPointer) {
    func store(_ word: UInt64, _ index: Int) {
      bytes.storeBytes(of: word.bigEndian, toByteOffset: index * 8, as: UInt64.self)
    }
    store(words.0, 0)
    store(words.1, 1)
    store(words.2, 2)
    store(words.3, 3)
  }

  public static func == (left: BlockName, right: BlockName) -> Bool { left.words == right.words }
  public static func < (left: BlockName, right: BlockName) -> Bool { left.words < right.words }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}
