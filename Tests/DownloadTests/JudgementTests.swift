import Testing

@testable import DownloadStage

/// The decisions that need no network.
@Suite struct JudgementTests {
  private func version(
    _ size: UInt64? = 512, _ etag: String? = nil, _ lastModified: String? = nil, strong: Bool = false
  ) -> Version {
    Version(size: size, etag: etag, lastModified: lastModified, lastModifiedIsStrong: strong)
  }

  @Test func conditions() {
    #expect(version().condition == nil)
    #expect(version(512, "\"a\"").condition == "\"a\"")
    #expect(version(512, "W/\"a\"").condition == nil)
    #expect(version(512, "W/\"a\"", "date", strong: true).condition == "date")
    #expect(version(512, "\"a\"", "date", strong: true).condition == "\"a\"")
    #expect(version(512, nil, "date").condition == nil)
  }

  @Test func proofs() {
    let known = version(512, "\"a\"", "date", strong: true)
    #expect(known.isProvedBy(known))
    #expect(known.isProvedBy(version(nil, "\"a\"")))
    #expect(!known.isProvedBy(version(1024, "\"a\"")))
    #expect(!known.isProvedBy(version(512, "\"b\"")))
    #expect(!known.isProvedBy(version(512)))
    #expect(!known.isProvedBy(version(512, "\"a\"", "other date")))
    #expect(!version().isProvedBy(version()))
    let weak = version(512, "W/\"a\"", "date", strong: true)
    #expect(!weak.isProvedBy(version(512, "W/\"b\"", "date", strong: true)))
  }

  @Test func identitiesTellSizesApart() {
    #expect(version(512, "\"a\"").identity != version(1024, "\"a\"").identity)
    #expect(version(nil, "\"a\"").identity == "\"a\" of unknown size")
    #expect(version(512).identity == nil)
  }

  @Test func contentRanges() {
    #expect(ContentRange("bytes 5-9/10") == ContentRange("Bytes 5-9/10"))
    #expect(ContentRange("bytes 5-9/10")?.start == 5)
    #expect(ContentRange("bytes 5-9/10")?.size == 10)
    for text in [
      "", "bytes", "bytes 5-9", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "items 5-9/10",
      "bytes -5-9/10", "bytes 5-9/99999999999999999999",
    ] {
      #expect(ContentRange(text) == nil, "\(text)")
    }
  }

  @Test func recoveryHasPatienceAsLongAsBytesCome() {
    var recovery = Recovery()
    for round: UInt64 in 0..<100 { #expect(recovery.pause(at: round * Recovery.fruit) == 0) }
    #expect((0..<5).map { _ in recovery.pause(at: 99 * Recovery.fruit) } == [0.5, 1, 2, 4, nil])
  }

  @Test func tokens() throws {
    let token = Token(offset: .max, version: version(nil, "\"ü\\\""))
    let read = try #require(Token(try token.encoded()))
    #expect(read.offset == token.offset)
    #expect(read.version == token.version)
    #expect(Token([]) == nil)
    #expect(Token([UInt8](repeating: 0x7B, count: 65536)) == nil)
  }
}
