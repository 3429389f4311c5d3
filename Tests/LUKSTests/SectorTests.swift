import OpenSSL
import TestKit
import Testing

@Suite struct SectorTests {
  @Test func agreesWithAnotherXTS() throws {
    var generator = Noise(seed: 9)
    for (length, sectorSize) in [(32, 512), (64, 512), (32, 4096), (64, 1024)] {
      let key = generator.bytes(length)
      let bytes = Array(noise[..<(40 * 4096)])
      let expected = try OtherXTS.apply(bytes, key: key, encrypt: true, sectorSize: sectorSize)
      for isPortable in [false, true] {
        var output = [UInt8](repeating: 0, count: bytes.count)
        key.withUnsafeBytes { key in
          var encryption = SectorCipher(.encrypt, key: key, sectorSize: sectorSize, isPortable: isPortable)!
          bytes.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { encryption.apply(input, to: $0, number: 0) }
          }
          #expect(output == expected)
          var decryption = SectorCipher(.decrypt, key: key, sectorSize: sectorSize, isPortable: isPortable)!
          output.withUnsafeMutableBytes { decryption.apply(UnsafeRawBufferPointer($0), to: $0, number: 0) }
          #expect(output == bytes)
        }
      }
    }
  }

  /// IEEE 1619-2007, annex B, vector 4.
  @Test func agreesWithTheStandard() throws {
    let key = try #require(bytes(hexadecimal: "2718281828459045235360287471352631415926535897932384626433832795"))
    let plain = (0..<512).map { UInt8(truncatingIfNeeded: $0) }
    var output = [UInt8](repeating: 0, count: 512)
    key.withUnsafeBytes { key in
      var encryption = SectorCipher(.encrypt, key: key, sectorSize: 512)!
      plain.withUnsafeBytes { input in output.withUnsafeMutableBytes { encryption.apply(input, to: $0, number: 0) } }
    }
    #expect(hexadecimal(output[..<16]) == "27a7479befa1d476489f308cd4cfa6e2")
    #expect(hexadecimal(output[496...]) == "0a282df920147beabe421ee5319d0568")
  }

  @Test func sectorsCanBeAppliedInAnyPieces() throws {
    let key = Array(noise[..<64])
    key.withUnsafeBytes { key in
      var encryption = SectorCipher(.encrypt, key: key, sectorSize: 512)!
      var whole = Array(noise[..<(300 * 512)])
      whole.withUnsafeMutableBytes { encryption.apply(UnsafeRawBufferPointer($0), to: $0, number: 1 << 33) }
      var pieces = Array(noise[..<(300 * 512)])
      pieces.withUnsafeMutableBytes { buffer in
        for (start, end) in [(0, 1), (1, 130), (130, 131), (131, 300)] {
          let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[(start * 512)..<(end * 512)])
          encryption.apply(UnsafeRawBufferPointer(piece), to: piece, number: 1 << 33 + UInt64(start))
        }
      }
      #expect(whole == pieces)
    }
  }

  @Test func refusesKeysThatAreOfNoUse() {
    for key in [[UInt8](repeating: 7, count: 32), Array(noise[..<31]), Array(noise[..<48]), []] {
      #expect(!key.withUnsafeBytes(isUsable))
    }
  }

  private func isUsable(_ key: UnsafeRawBufferPointer) -> Bool {
    guard let cipher = SectorCipher(.encrypt, key: key, sectorSize: 512) else { return false }
    return cipher.sectorSize == 512
  }
}
