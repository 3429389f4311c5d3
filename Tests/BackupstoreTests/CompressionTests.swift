import Compression
import TestKit
import Testing

@Suite struct CompressionTests {
  static func blocks() -> [[UInt8]] {
    var noise = Noise(seed: 1)
    let text = Array(String(repeating: "the quick brown parrot repeats itself\n", count: 60_000).utf8)
    return [
      [], [1], [UInt8](repeating: 0, count: 2 << 20), Array(text.prefix(2 << 20)), noise.bytes(300_000),
      Array(text.prefix(512)), [0x1f, 0x8b, 8, 0, 0, 0], [0x04, 0x22, 0x4d, 0x18, 0x64],
    ]
  }

  @Test(arguments: CompressionMethod.allCases) func roundTrips(_ method: CompressionMethod) throws {
    let codec = BlockCodec(maximumBlock: 2 << 20)
    for block in Self.blocks() {
      var output = [UInt8](repeating: 0xee, count: block.count)
      let count = try block.withUnsafeBytes { block in
        try output.withUnsafeMutableBytes { output in
          try codec.unpack(codec.pack(block, method), method, into: output)
        }
      }
      #expect(count == block.count)
      #expect(same(output, block))
    }
  }

  @Test func headers() {
    let codec = BlockCodec(maximumBlock: 2 << 20)
    for block in Self.blocks() {
      let (lz4, gzip) = block.withUnsafeBytes {
        (Array(codec.pack($0, .lz4).prefix(7)), Array(codec.pack($0, .gzip).prefix(10)))
      }
      #expect(lz4 == [0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9])
      #expect(gzip == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
    }
  }

  @Test(arguments: [CompressionMethod.gzip, .lz4]) func neverMoreThanFits(_ method: CompressionMethod) throws {
    let codec = BlockCodec(maximumBlock: 2 << 20)
    let block = [UInt8](repeating: 0, count: 2 << 20)
    let packed = block.withUnsafeBytes { Array(codec.pack($0, method)) }
    for room in [0, 1, 4096, (2 << 20) - 1] {
      var output = [UInt8](repeating: 0xee, count: room + 64)
      let thrown = #expect(throws: CompressionError.self) {
        try packed.withUnsafeBytes { packed in
          try output.withUnsafeMutableBytes {
            try codec.unpack(packed, method, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<room]))
          }
        }
      }
      #expect(thrown?.reason.contains("more than") == true)
      #expect(output[room...].allSatisfy { $0 == 0xee })
    }
  }

  @Test(arguments: [CompressionMethod.gzip, .lz4]) func damageIsAnErrorAndNoCrash(_ method: CompressionMethod) throws {
    let codec = BlockCodec(maximumBlock: 2 << 20)
    var noise = Noise(seed: 2)
    let block = Array("the quick brown parrot ".utf8) + noise.bytes(2000) + [UInt8](repeating: 0, count: 3000)
    let packed = block.withUnsafeBytes { Array(codec.pack($0, method)) }
    var output = [UInt8](repeating: 0, count: block.count)
    func unpack(_ bytes: [UInt8]) throws -> Int {
      try bytes.withUnsafeBytes { bytes in
        try output.withUnsafeMutableBytes { try codec.unpack(bytes, method, into: $0) }
      }
    }
    for length in 0..<packed.count { #expect(throws: CompressionError.self) { try unpack(Array(packed[..<length])) } }
    for index in packed.indices {
      var bytes = packed
      bytes[index] ^= 0xff
      if let count = try? unpack(bytes) { #expect(count <= block.count) }
    }
    // After all that it works as before, and what follows the end is not looked at.
    #expect(try unpack(packed + [1, 2, 3]) == block.count)
    #expect(same(output, block))
  }

  @Test func sniffing() {
    func sniff(_ bytes: [UInt8]) -> CompressionMethod { bytes.withUnsafeBytes { CompressionMethod.sniff($0) } }
    #expect(sniff([0x1f, 0x8b]) == .gzip)
    #expect(sniff([0x04, 0x22, 0x4d, 0x18]) == .lz4)
    #expect(sniff([0x04, 0x22, 0x4d]) == .none)
    #expect(sniff([]) == .none)
  }
}
