import Compression
import Testing

@testable import Backupstore

@Suite struct FormatTests {
  private func decode(_ text: String) throws -> ImageConfig {
    try Array(text.utf8).withUnsafeBytes { try ImageConfig(decoding: $0, path: "file:///s/cfg") }
  }

  private let zeros = "731859029215873fdac1c9f2f8bd25a334abf0f3a9e1b057cf2cacc2826d86b0"

  @Test func pathsAndHashes() {
    #expect(StoreLayout.imageLocks == "backupstore/volumes/22/fc/BACKINGIMAGE/locks")
    #expect(StoreLayout.volume("vol-demo") == "backupstore/volumes/ce/f7/vol-demo")
    #expect(
      StoreLayout.volume("pvc-06b4a8a8-b51d-42c6-a8cc-d8c8d6bc65bc").hasPrefix("backupstore/volumes/ba/4d/"))
    let name = [UInt8](repeating: 0, count: 2 << 20).withUnsafeBytes { BlockName(of: $0) }
    #expect(name.description == zeros)
    #expect(StoreLayout.imageBlock(name) == "backupstore/backing-images/blocks/73/18/\(zeros).blk")
    #expect(StoreLayout.block(atRelative: "73/18/\(zeros).blk") == name)
    for path in ["73/19/\(zeros).blk", "73/18/\(zeros)", "73/18/\(zeros).blk.tmp.1", "18/\(zeros).blk", "73/18/x.blk"] {
      #expect(StoreLayout.block(atRelative: path) == nil)
    }
    #expect(BlockName(zeros.uppercased()) == nil)
    #expect(BlockName(zeros.dropLast()) == nil)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (951_827_696, "2000-02-29T12:34:56Z"), (1_767_607_202, "2026-01-05T10:00:02Z"),
      (4_107_542_400, "2100-03-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
    ] as [(Int64, String)])
  func times(_ seconds: Int64, _ text: String) { #expect(StoreTime.text(seconds) == text) }

  @Test func theExampleOfTheFormat() throws {
    let checksum = String(repeating: "304f", count: 32)
    let text =
      #"{"Name":"parrot","Size":"33554432","BlockCount":"1","Checksum":"\#(checksum)","Labels":{"usecase":"test"},"CompressionMethod":"lz4","CreatedTime":"2026-01-05T10:00:02Z","CompleteTime":"2026-01-05T10:00:09Z","Secret":"","SecretNamespace":"","ProcessingBlocks":{"Blocks":{}},"Blocks":[{"Offset":0,"BlockChecksum":"\#(zeros)"}]}"#
    let config = try decode(text)
    #expect(String(decoding: config.encoded(), as: UTF8.self) == text)
  }

  @Test func aStubAsLonghornAndAsDroverWriteIt() throws {
    var stub = ImageConfig(
      name: "parrot", size: 512, compressionMethod: "lz4", createdTime: "2026-01-05T10:00:02Z")
    let text =
      #"{"Name":"parrot","Size":"512","BlockCount":"0","Checksum":"","Labels":null,"CompressionMethod":"lz4","CreatedTime":"2026-01-05T10:00:02Z","CompleteTime":"","Secret":"","SecretNamespace":"","ProcessingBlocks":null}"#
    #expect(String(decoding: stub.encoded(), as: UTF8.self) == text)
    stub.droverLock = "lock-0123456789abcdef"
    #expect(
      String(decoding: stub.encoded(), as: UTF8.self)
        == text.dropLast() + #","DroverLock":"lock-0123456789abcdef"}"#)
    #expect(try decode(String(decoding: stub.encoded(), as: UTF8.self)) == stub)
  }

  @Test func escapesAsGoDoes() throws {
    let label = "<a> & \"b\" \\ / \u{8}\u{c}\n\r\t\u{1}\u{7f} \u{2028}\u{2029} \u{e4} \u{1f99c}"
    let config = ImageConfig(
      name: "parrot", size: 512, labels: ["b": label, "B": "", "a<": "1"], completeTime: "2026-01-05T10:00:02Z")
    let text = String(decoding: config.encoded(), as: UTF8.self)
    let expected =
      #""Labels":{"B":"","a\u003c":"1","b":"\u003ca\u003e \u0026 \"b\" \\ / \b\f\n\r\t\u0001"# + "\u{7f}"
      + #" \u2028\u2029 "# + "\u{e4} \u{1f99c}\"}"
    #expect(text.contains(expected))
    // A label's key may be escaped or not.
    #expect(try decode(text).labels == config.labels)
    #expect(try decode(text.replacing(#""a\u003c""#, with: #""a<""#)).labels == config.labels)
    #expect(try decode(text).labels?["b"] == label)
  }

  @Test func readsTolerantly() throws {
    let config = try decode(
      """
       {"unknown": [1, {"x": [null, true, -1.5e+3, "\\u00e4\\ud83e\\udd9c\\ud800"]}], "SIZE":1048576,
        "completetime" : "2026-01-05T10:00:09Z" , "blocks":null,"Blocks":[ {"x":{},"BlockChecksum":"\(zeros)","offset":0} ],
        "name":"a","Name":"b\\u00e4","Labels":{"k":null},"Checksum":null,"BlockCount":"1","ProcessingBlocks":{"Blocks":{}}}
       {"Size":"7"} trailing rubbish
      """)
    #expect(config.size == 1 << 20)
    #expect(config.name == "b\u{e4}")
    #expect(config.isComplete)
    #expect(config.blocks.count == 1)
    #expect(config.labels == ["k": ""])
    #expect(config.effectiveMethod == "gzip")
    #expect(config.checksum == "")
  }

  @Test func sortsBlocks() throws {
    let other = String(repeating: "0", count: 64)
    let config = try decode(
      #"{"Size":"4194304","Blocks":[{"Offset":2097152,"BlockChecksum":"\#(zeros)"},{"Offset":0,"BlockChecksum":"\#(other)"}]}"#
    )
    #expect(config.blocks.map(\.offset) == [0, 2_097_152])
    #expect(config.blocks[0].name.description == other)
  }

  /// What is no config, and what its error must say.
  static let hostile: [(String, String)] = {
    let name = String(repeating: "a", count: 64)
    func blocks(_ size: String, _ blocks: String) -> String {
      #"{"Size":\#(size),"CompleteTime":"2026-01-05T10:00:09Z","Blocks":[\#(blocks)]}"#
    }
    func block(_ offset: String, _ name: String) -> String { #"{"Offset":\#(offset),"BlockChecksum":"\#(name)"}"# }
    return [
      ("", "no {"), ("[]", "no {"), ("null", "no {"), ("{", "no string"), ("{\"Size\"", "no colon"),
      ("\u{feff}{}", "no {"), ("{\"Size\":\"1\"", "no comma"), ("{'Size':1}", "no string"), ("{\"a\":}", "no value"),
      ("{\"a\":tru}", "no true"), ("{\"a\":\"x", "without an end"), ("{\"a\":\"\\", "without an end"),
      ("{\"Name\":\"\\q\"}", "bad escape"), ("{\"Name\":\"\\u12\"}", "bad escape"), ("{\"Name\":\"a\nb\"}", "control"),
      ("{\"Name\":5}", "no string"), ("{\"Size\":\"-512\"}", "no whole number"), ("{\"Size\":-512}", "no whole number"),
      ("{\"Size\":1.5}", "no whole number"), ("{\"Size\":1e3}", "no whole number"),
      ("{\"Size\":\"\"}", "no whole number"),
      ("{\"Size\":\"99999999999999999999\"}", "no whole number"), ("{\"Size\":\"18446744073709551615\"}", "too large"),
      ("{\"Size\":\"0\",\"CompleteTime\":\"2026-01-05T10:00:09Z\"}", "Size is 0"),
      ("{\"Checksum\":\"xyz\"}", "Checksum"), ("{\"Labels\":{\"a\":1}}", "no string"), ("{\"Labels\":[]}", "no {"),
      (String(repeating: "[", count: 1_000_000), "no {"),
      ("{\"a\":" + String(repeating: "[", count: 1_000_000), "nested too deep"),
      ("{\"a\":" + String(repeating: "{\"a\":", count: 1_000_000), "nested too deep"),
      (blocks("\"4194304\"", block("4194304", name)), "beyond the size"),
      (blocks("\"4194304\"", block("18446744073707454464", name)), "beyond the size"),
      (blocks("\"4194304\"", block("-2097152", name)), "no whole number"),
      (blocks("\"4194304\"", block("512", name)), "not a multiple"),
      (blocks("\"4194304\"", block("0", name) + "," + block("0", name)), "occurs twice"),
      (
        blocks("\"4194304\"", block("2097152", name) + "," + block("0", name) + "," + block("2097152", name)),
        "occurs twice"
      ),
      (blocks("\"4194304\"", block("0", "../../../../etc/passwd")), "64 lower-case"),
      (blocks("\"4194304\"", block("0", name + "a")), "64 lower-case"),
      (blocks("\"4194304\"", block("0", String(repeating: "A", count: 64))), "64 lower-case"),
      (blocks("\"4194304\"", block("0", String(repeating: "g", count: 64))), "64 lower-case"),
      (blocks("\"4194304\"", "{\"Offset\":0}"), "without offset or checksum"),
      (blocks("\"4194304\"", "{\"BlockChecksum\":\"\(name)\"}"), "without offset or checksum"),
      (blocks("\"4194304\"", "7"), "no {"), ("{\"Blocks\":{}}", "no ["),
    ]
  }()

  @Test(arguments: hostile.indices) func refusesHostileConfigs(_ index: Int) throws {
    let (text, reason) = Self.hostile[index]
    let error = storeError { _ = try decode(text) }
    #expect(error?.code == .badConfig, "\(text.prefix(100))")
    #expect(error?.retry == .never)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "none") for \(text.prefix(100))")
    #expect(error?.message.contains("file:///s/cfg") == true)
  }

  /// A document that is cut off anywhere is refused or is one whose first value ended; it never crashes.
  @Test func everyPrefixOfAConfigIsRefused() throws {
    let document = try fixture("lz4/\(FixtureTests.configPath)")
    for length in 0..<document.count {
      let error = storeError {
        _ = try document[..<length].withUnsafeBytes { try ImageConfig(decoding: $0, path: "cut") }
      }
      #expect(error?.code == .badConfig)
    }
  }

  @Test func everyFlippedByteIsReadOrRefused() throws {
    let document = try fixture("lz4/\(FixtureTests.configPath)")
    for index in document.indices {
      for value in [0, 0x22, 0x5b, 0x7b, 0x7d, 0xff] as [UInt8] {
        var bytes = document
        bytes[index] = value
        _ = storeError { _ = try bytes.withUnsafeBytes { try ImageConfig(decoding: $0, path: "flipped") } }
      }
    }
  }

  @Test func manyBlocks() throws {
    let count: UInt64 = 20_000
    var config = ImageConfig(name: "big", size: count << 21, completeTime: "2026-01-05T10:00:09Z")
    config.blocks.reserveCapacity(Int(count))
    var name = [UInt8](repeating: 7, count: 32)
    for index in 0..<count {
      name.withUnsafeMutableBytes { $0.storeBytes(of: index, as: UInt64.self) }
      config.blocks.append(BlockEntry(offset: index << 21, name: name.withUnsafeBytes { BlockName(bytes: $0) }))
    }
    #expect(MemoryLayout<BlockEntry>.stride == 40)
    let document = config.encoded()
    #expect(try document.withUnsafeBytes { try ImageConfig(decoding: $0, path: "big") } == config)
  }

  @Test func lockRecords() throws {
    let text = #"{"Name":"lock-0123456789ab4cde","Type":1,"Acquired":true}"#
    let record = try #require(LockRecord(decoding: Array(text.utf8)))
    #expect(record == LockRecord(name: "lock-0123456789ab4cde", type: 1, isAcquired: true))
    #expect(String(decoding: record.encoded(), as: UTF8.self) == text)
    #expect(LockRecord(decoding: Array("{}".utf8)) == LockRecord(name: "", type: 0, isAcquired: false))
    for text in ["", "{", #"{"Type":-1}"#, #"{"Acquired":"yes"}"#] {
      #expect(LockRecord(decoding: Array(text.utf8)) == nil)
    }
  }

  @Test func randomNamesHaveLonghornsForm() {
    for _ in 0..<200 {
      #expect(StoreName.random("lock").wholeMatch(of: /lock-[0-9a-f]{16}/) != nil)
    }
  }
}
