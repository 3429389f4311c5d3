import OpenSSL
import Testing

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
