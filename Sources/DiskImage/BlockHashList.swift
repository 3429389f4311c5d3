public import LinuxSystem
import OpenSSL

/// `backing.blocks` beside an image: the hash of each of its 2 MiB blocks, so that a backup, which hashes blocks anyway,
/// finds rot before it is copied.
///
/// All numbers little endian:
///
/// | offset | length | content |
/// | --- | --- | --- |
/// | 0 | 8 | `DROVERBH` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | bytes of a hash, 32 |
/// | 16 | 8 | bytes of a block, 2097152 |
/// | 24 | 8 | bytes of the image |
/// | 32 | 64 | SHA-512 of the image |
/// | 96 | 32 each | first half of each block's SHA-512, the last block may be short |
/// | end - 32 | 32 | first half of the SHA-512 of everything before |
public struct BlockHashList: Sendable, Hashable {
  public static let blockSize: UInt64 = 2 << 20
  private static let headerLength = 96

  public var imageSize: UInt64
  /// SHA-512 of the image, 128 lower-case hexadecimal digits: what the list belongs to.
  public var checksum: String
  /// 32 bytes a block.
  public var hashes: [UInt8]

  /// Nil unless there is one hash for each block, and a whole checksum.
  public init?(imageSize: UInt64, checksum: String, hashes: [UInt8]) {
    guard hashes.count == Self.hashBytes(imageSize: imageSize), bytes(hexadecimal: checksum)?.count == SHA512.length
    else { return nil }
    self.imageSize = imageSize
    self.checksum = checksum.lowercased()
    self.hashes = hashes
  }

  private static func hashBytes(imageSize: UInt64) -> Int {
    Int(imageSize / blockSize + (imageSize % blockSize == 0 ? 0 : 1)) * BlockHash.length
  }

  /// Where the list of the image file at `image` lies.
  public static func path(of image: String) -> String { image + ".blocks" }

  /// The list beside `image`, if it is whole and belongs to just this content; nil otherwise. An error means that nobody
  /// knows.
  public static func read(of image: String, size: UInt64, checksum: String) throws(SystemError) -> BlockHashList? {
    let path = path(of: image)
    let length = headerLength + hashBytes(imageSize: size) + BlockHash.length
    guard let status = try FileStatus.of(path), status.isRegular, status.size == UInt64(length) else { return nil }
    guard let list = decode(try Folder.readFile(path, limit: length)), list.imageSize == size,
      list.checksum == checksum.lowercased()
    else { return nil }
    return list
  }

  /// Writes it beside `image`, durably.
  public func write(beside image: String) throws(SystemError) {
    try Folder.writeDurably(Self.path(of: image), encoded())
  }

  func encoded() -> [UInt8] {
    func number(_ value: UInt64, _ length: Int) -> [UInt8] {
      (0..<length).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    var all = Array("DROVERBH".utf8)
    all += number(1, 4) + number(UInt64(BlockHash.length), 4) + number(Self.blockSize, 8) + number(imageSize, 8)
    all += bytes(hexadecimal: checksum) ?? []
    all += hashes
    return all + all.withUnsafeBytes { BlockHash.hash($0) }
  }

  static func decode(_ all: [UInt8]) -> BlockHashList? {
    func number(_ at: Int, _ length: Int) -> UInt64 {
      all[at..<(at + length)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let end = all.count - BlockHash.length
    guard end >= headerLength, all.starts(with: Array("DROVERBH".utf8)), number(8, 4) == 1,
      number(12, 4) == UInt64(BlockHash.length), number(16, 8) == blockSize,
      all[..<end].withUnsafeBytes({ BlockHash.hash($0) }) == Array(all[end...])
    else { return nil }
    return BlockHashList(
      imageSize: number(24, 8), checksum: hexadecimal(all[32..<headerLength]), hashes: Array(all[headerLength..<end]))
  }
}
