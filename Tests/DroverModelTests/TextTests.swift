import DroverModel
import Testing

@Suite struct TextTests {
  @Test func nearestNames() {
    #expect(nearestName(to: "checksun", among: ["checksum", "secret"]) == "checksum")
    #expect(nearestName(to: "ulr", among: ["url"]) == "url")
    #expect(nearestName(to: "sourcetype", among: ["sourceType"]) == "sourceType")
    #expect(nearestName(to: "x", among: ["checksum", "secret"]) == nil)
    #expect(nearestName(to: "", among: ["checksum"]) == nil)
    #expect(nearestName(to: "checksum", among: [String]()) == nil)
  }

  @Test(
    arguments: [
      ("0", 0), ("512", 512), ("1K", 1024), ("1Ki", 1024), ("1k", 1024), ("10G", 10 << 30), ("1.5GiB", 3 << 29),
      ("2MB", 2 << 20),
      ("8T", 8 << 40),
    ] as [(String, Int64)])
  func sizes(text: String, bytes: Int64) { #expect(ByteSize.parse(text) == bytes) }

  @Test(arguments: ["", "G", "-1", "1X", "1.5", "0x10", "1e3", "9999999999999T", "1..5G", "B", "i", "+1"])
  func notSizes(text: String) { #expect(ByteSize.parse(text) == nil) }

  @Test func sizesForPeople() {
    #expect(ByteSize.text(1023) == "1023 B")
    #expect(ByteSize.text(1024) == "1.0 KiB")
    #expect(ByteSize.text((1 << 20) - 1) == "1.0 MiB")
    #expect(ByteSize.text(3 << 29) == "1.5 GiB")
    #expect(ByteSize.text(Int64.max).hasSuffix(" TiB"))
  }

  @Test(arguments: [
    ("30s", 30), ("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("5m0s", 300), ("2d", 172_800),
    ("7", 7), ("0", 0),
  ])
  func spans(text: String, seconds: Double) { #expect(TimeSpan.parse(text) == seconds) }

  @Test(arguments: ["", "s", "-1s", "10x", "1h-", "m10", "1 m", "nan", "inf"])
  func notSpans(text: String) { #expect(TimeSpan.parse(text) == nil) }

  @Test func spansForPeople() {
    #expect(TimeSpan.text(0.0501) == "50 ms")
    #expect(TimeSpan.text(59.6) == "1m00s")
    #expect(TimeSpan.text(3725) == "1h02m")
    #expect(TimeSpan.text(100_000) == "1d03h")
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_767_607_202, "2026-01-05T10:00:02Z"),
      (4_102_444_799, "2099-12-31T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"), (1_709_164_800, "2024-02-29T00:00:00Z"),
    ] as [(Double, String)])
  func times(seconds: Double, text: String) {
    #expect(Timestamp.text(seconds) == text)
    #expect(Timestamp.parse(text) == seconds)
  }

  @Test func timesThatAreNone() {
    for text in [
      "", "2026-01-05", "2026-01-05T10:00:02", "2026-13-05T10:00:02Z", "2026-01-05 10:00:02Z", "2026-01-05T10:00:02.Z",
    ] {
      #expect(Timestamp.parse(text) == nil, "\(text)")
    }
    #expect(Timestamp.parse("2026-01-05T10:00:02.250Z") == 1_767_607_202.25)
  }

  @Test func selectors() throws {
    let selector = try LabelSelector("usecase=test,type")
    #expect(selector.matches(["usecase": "test", "type": "raw", "x": "y"]))
    #expect(!selector.matches(["usecase": "test"]))
    #expect(!selector.matches(["usecase": "prod", "type": "raw"]))
    #expect(!selector.matches(nil))
    #expect(fault { () throws(Fault) in try LabelSelector("=x") }?.code == .invalid)
    #expect(fault { () throws(Fault) in try LabelSelector("a!=x") }?.code == .invalid)
  }
}
