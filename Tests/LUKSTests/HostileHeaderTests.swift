import DiskImage
import StageKit
import TestKit
import Testing

/// Whatever the bytes are, the reader answers, and soon.
@Suite struct HostileHeaderTests {
  @Test func mutatedHeadersAreReadOrRefused() throws {
    var generator = Noise(seed: 11)
    let original = Array(RefusalTests.image[..<(64 << 10)])
    for round in 0..<200 {
      var image = original
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        let start = Bool.random(using: &generator) ? 0 : 16384
        let place =
          start
          + (Bool.random(using: &generator)
            ? Int.random(in: 0..<512, using: &generator) : Int.random(in: 4096..<5600, using: &generator))
        image[place] = UInt8.random(in: 0...255, using: &generator)
      }
      if round % 4 != 0 {
        Header.sign(&image, 0)
        Header.sign(&image, 16384)
      }
      if case .encrypted(let header) = try Header.probe(image) {
        _ = header.problem(imageSize: (16 << 20) + 8192)
        _ = header.problem(imageSize: UInt64(round * 100_000))
      }
    }
  }

  @Test func deepAndLongMetadataIsRefused() throws {
    for text in [
      String(repeating: "[", count: 12000), String(repeating: #"{"a":"#, count: 2000), "", "null", "[]", "{}",
      #"{"keyslots":{},"segments":{},"digests":{},"config":{"json_size":"12288","keyslots_size":"16744448"}}"#,
    ] {
      var image = RefusalTests.image
      for start in [0, 16384] {
        let json = Array(text.utf8) + [UInt8](repeating: 0, count: 12288 - text.utf8.count)
        image.replaceSubrange((start + 4096)..<(start + 16384), with: json)
        Header.sign(&image, start)
      }
      let error = try stageError { _ = try decrypted(image) }
      #expect(["bad-header", "not-supported"].contains(error.code), "\(text.prefix(20)): \(error)")
    }
  }

  @Test func versionOneHeadersAreReadOrRefused() throws {
    var generator = Noise(seed: 12)
    for _ in 0..<200 {
      var image = generator.bytes(4096)
      image.replaceSubrange(0..<8, with: [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE, 0, 1])
      for slot in 0..<8 where Bool.random(using: &generator) {
        image.replaceSubrange((208 + 48 * slot)..<(212 + 48 * slot), with: [0x00, 0xAC, 0x71, 0xF3])
      }
      if case .encrypted(let header) = try Header.probe(image) {
        #expect(header.problem(imageSize: 4096) != nil)
      }
    }
  }
}
