import Testing

@testable import OpenSSL

@Suite struct HashTests {
  /// FIPS 180-4 examples.
  static let vectors: [(String, String)] = [
    (
      "",
      "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    ),
    (
      "abc",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    ),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
    ),
  ]

  @Test(arguments: vectors.indices) func published(_ index: Int) {
    let (text, digest) = Self.vectors[index]
    let bytes = Array(text.utf8)
    #expect(hexadecimal(bytes.withUnsafeBytes { SHA512.hash($0) }) == digest)
    #expect(hexadecimal(bytes.withUnsafeBytes { BlockHash.hash($0) }) == digest.prefix(64))
  }

  @Test func piecesAndCopies() {
    let (text, digest) = Self.vectors[2]
    let bytes = Array(text.utf8)
    for cut in 0...bytes.count {
      var hash = SHA512()
      bytes[..<cut].withUnsafeBytes { hash.update($0) }
      var copy = hash.copyState()
      for byte in bytes[cut...] { withUnsafeBytes(of: byte) { hash.update($0) } }
      bytes[cut...].withUnsafeBytes { copy.update($0) }
      #expect(hexadecimal(hash.finish()) == digest)
      #expect(hexadecimal(copy.finish()) == digest)
    }
  }

  @Test func digits() {
    #expect(hexadecimal([0, 1, 0xab, 0xff]) == "0001abff")
    #expect(bytes(hexadecimal: "0001abFF") == [0, 1, 0xab, 0xff])
    #expect(bytes(hexadecimal: "") == [])
    for text in ["0", "0g", "0x", " 00", "\u{ff10}0"] { #expect(bytes(hexadecimal: text) == nil) }
  }
}

/// Blocks that are hashed side by side have the hashes that libcrypto has for each of them alone.
@Suite struct BlockHashTests {
  static let lanes: [BlockHash.Lanes] = [.avx2, .avx512Four, .avx512Eight, .none]

  /// Each width that the processor has, each number of blocks, lengths around the padding's, and a last one that is shorter.
  @Test(arguments: lanes.indices) func everyLane(_ index: Int) {
    let lanes = Self.lanes[index]
    guard lanes.isThere else { return }
    let content = noise(20 * 1152, seed: 7)
    content.withUnsafeBytes { bytes in
      for block in [1, 127, 128, 129, 256, 384, 1000, 1024, 1152] {
        for length in [0, 1, block - 1, block, block + 1, 2 * block, 3 * block, 4 * block + 5, 9 * block, 17 * block] {
          let all = UnsafeRawBufferPointer(rebasing: bytes[..<length])
          let single = stride(from: 0, to: length, by: block).flatMap {
            BlockHash.hash(UnsafeRawBufferPointer(rebasing: all[$0..<min($0 + block, length)]))
          }
          #expect(BlockHash.hashes(of: all, block: block, in: lanes) == single, "\(length) bytes by \(block)")
        }
      }
    }
  }

  @Test func wholeBlocksOfAnImage() {
    let content = noise(5 << 20, seed: 9)
    content.withUnsafeBytes { bytes in
      let single = [0..<(2 << 20), (2 << 20)..<(4 << 20), (4 << 20)..<(5 << 20)].flatMap {
        BlockHash.hash(UnsafeRawBufferPointer(rebasing: bytes[$0]))
      }
      #expect(BlockHash.hashes(of: bytes, block: 2 << 20) == single)
    }
  }

  private func noise(_ length: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1
    return (0..<length).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 33)
    }
  }
}
