import Backupstore
import OpenSSL

/// An image in memory, with the extents that its file would have.
struct SourceImage: Sendable {
  var bytes: [UInt8]
  /// Offsets of blocks that hold data; the others are holes.
  var blocks: [UInt64]

  static let block = Int(ImageConfig.blockSize)

  var size: UInt64 { UInt64(bytes.count) }
  var checksum: String { bytes.withUnsafeBytes { hexadecimal(SHA512.hash($0)) } }

  /// 32 bytes for each block.
  var blockHashes: [UInt8] {
    bytes.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: Self.block).flatMap { start in
        BlockHash.hash(UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + Self.block)]))
      }
    }
  }

  func range(_ offset: UInt64) -> Range<Int> { Int(offset)..<min(bytes.count, Int(offset) + Self.block) }

  /// `parrot.img` of the fixtures. Source: Fixtures/longhorn-backupstore/make-source.py.
  static let parrot: SourceImage = {
    var bytes = [UInt8](repeating: 0, count: (9 << 20) + 1536)
    func put(_ data: [UInt8], at offset: Int) { bytes.replaceSubrange(offset..<(offset + data.count), with: data) }
    put(text("p", block), at: 0)
    put(text("p", block), at: 2 * block)
    put(noise("parrot", 100_000), at: 3 * block + 4096)
    put(text("tail", 1536), at: 9 << 20)
    return SourceImage(bytes: bytes, blocks: [0, 2, 3, 4].map { UInt64($0 * block) })
  }()

  /// Each block is filled with its byte; nil is a hole. The last one has 512 bytes only.
  static func filled(_ values: [UInt8?]) -> SourceImage {
    var image = SourceImage(bytes: [], blocks: [])
    for (index, value) in values.enumerated() {
      let length = index == values.count - 1 ? 512 : block
      image.bytes += [UInt8](repeating: value ?? 0, count: length)
      if value != nil { image.blocks.append(UInt64(index * block)) }
    }
    return image
  }

  private static func text(_ tag: String, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 80)
    var line = 0
    while line < count / 40 {
      let number = String(line)
      bytes += "\(tag) line \(String(repeating: "0", count: 7 - number.count))\(number)".utf8
      bytes += ": the quick brown parrot repeats itself\n".utf8
      line += 1
    }
    return Array(bytes.prefix(count))
  }

  private static func noise(_ tag: String, _ count: Int) -> [UInt8] {
    let bytes = (0...(count / 64)).flatMap { index in
      Array("\(tag)\(index)".utf8).withUnsafeBytes { SHA512.hash($0) }
    }
    return Array(bytes.prefix(count))
  }
}
