import Compression
import Testing

@Suite struct ClusterCodecTests {
  /// Each unpacks to 512 times 0xCC. Made by zlib and by the program zstd.
  static let packed: [(ClusterMethod, [UInt8])] = [
    (.deflate, [0x3B, 0x73, 0x66, 0x14, 0x8C, 0x64, 0x00, 0x00]),
    (
      .zstd,
      [
        0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x58, 0x4D, 0x00, 0x00, 0x10, 0xCC, 0xCC, 0x01, 0x00, 0xFB, 0x2A, 0xC0, 0x02,
        0x24, 0x13, 0x26, 0xBC,
      ]
    ),
  ]
  static let cluster = [UInt8](repeating: 0xCC, count: 512)

  func unpack(_ codec: ClusterCodec, _ stored: [UInt8], room: Int = 512) throws -> [UInt8] {
    var output = [UInt8](repeating: 0xEE, count: room + 16)
    try stored.withUnsafeBytes { stored in
      try output.withUnsafeMutableBytes {
        try codec.unpack(stored, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<room]))
      }
    }
    #expect(output[room...].allSatisfy { $0 == 0xEE })
    return Array(output[..<room])
  }

  @Test(arguments: packed) func unpacksAndIgnoresWhatFollows(_ method: ClusterMethod, _ stored: [UInt8]) throws {
    let codec = ClusterCodec(method)
    #expect(try unpack(codec, stored) == Self.cluster)
    #expect(try unpack(codec, stored + [1, 2, 3]) == Self.cluster)
  }

  @Test(arguments: packed) func damageIsAnErrorAndNoCrash(_ method: ClusterMethod, _ stored: [UInt8]) throws {
    let codec = ClusterCodec(method)
    for length in 0..<(stored.count - (method == .zstd ? 0 : 1)) {
      #expect(throws: CompressionError.self) { try unpack(codec, Array(stored[..<length])) }
    }
    for index in stored.indices {
      for bit in 0..<8 {
        var bytes = stored
        bytes[index] ^= 1 << bit
        _ = try? unpack(codec, bytes)
      }
    }
    #expect(throws: CompressionError.self) { try unpack(codec, stored, room: 513) }
    // After all that it works as before.
    #expect(try unpack(codec, stored) == Self.cluster)
  }

  @Test func deflateMayHaveMoreThanIsWanted() throws {
    #expect(try unpack(ClusterCodec(.deflate), Self.packed[0].1, room: 100) == Array(Self.cluster[..<100]))
  }

  /// A frame that asks for a window of a gibibyte, and then frames one after another.
  @Test func zstdTakesNoMemoryForAWindow() throws {
    let wide: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA0, 0x03, 0x10, 0x00, 0xCC]
    let codec = ClusterCodec(.zstd)
    #expect(try unpack(codec, wide) == Self.cluster)
    #expect(try unpack(codec, wide + wide, room: 1024) == Self.cluster + Self.cluster)
  }
}
