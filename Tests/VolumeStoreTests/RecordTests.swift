import LinuxSystem
import TestKit
import Testing

@testable import VolumeStore

@Suite struct RecordTests {
  @Test func recordsAreWrittenAsLonghornWritesThem() throws {
    let volume =
      #"{"Size":1073741824,"Head":"volume-head-002.img","Dirty":false,"Rebuilding":false,"Error":"","Parent":"volume-snap-nightly--1.img","SectorSize":512,"BackingFilePath":"/host/var/lib/longhorn/backing-images/parrot-1a2b3c4d/backing","Encrypted":false}"#
      + "\n"
    let layer =
      #"{"Name":"volume-snap-nightly--1.img","Parent":"","Removed":false,"UserCreated":true,"Created":"2026-01-06T02:00:03Z","Labels":{"RecurringJob":"nightly"}}"#
      + "\n"
    #expect(try VolumeRecord(Array(volume.utf8), path: "x").bytes == Array(volume.utf8))
    #expect(
      try LayerRecord(Array(layer.utf8), name: "volume-snap-nightly--1.img", path: "x").bytes == Array(layer.utf8))
    let restored = try LayerRecord(Array(#"{"Parent":""}"#.utf8), name: "volume-snap-a.img", path: "x")
    #expect(restored.name == "volume-snap-a.img" && restored.labels == nil)
    #expect(RecordText.quoted("a\"<\u{1}\n") == #""a\"\u003c\u0001\n""#)
  }

  @Test(arguments: [
    "", "x", "[]", "{}", #"{"Size":4096}"#, #"{"Size":-4096,"Head":"volume-head-000.img"}"#,
    #"{"Size":4097,"Head":"volume-head-000.img"}"#, #"{"Size":9223372036854775807,"Head":"volume-head-000.img"}"#,
    #"{"Size":99999999999999999999,"Head":"volume-head-000.img"}"#, #"{"Size":4096,"Head":"../volume-head-000.img"}"#,
    #"{"Size":4096,"Head":"volume-snap-a.img"}"#,
    #"{"Size":4096,"Head":"volume-head-000.img","Parent":"volume-snap-../a.img"}"#,
    #"{"Size":4096,"Head":"volume-head-000.img","Parent":"/etc/passwd"}"#,
  ])
  func hostileRecordsAreRefused(_ text: String) {
    #expect(code { _ = try VolumeRecord(Array(text.utf8), path: "x") } == "bad-format")
  }

  @Test func impossibleChainsAreRefused() throws {
    let volume = VolumeRecord(size: 4096, head: "volume-head-000.img")
    func record(_ name: String, _ parent: String) -> LayerRecord {
      LayerRecord(name: LayerName.ofSnapshot(name), parent: parent.isEmpty ? "" : LayerName.ofSnapshot(parent))
    }
    func chain(_ records: [LayerRecord], from name: String) throws -> [String] {
      try VolumeTree(volume: volume, snapshots: Dictionary(uniqueKeysWithValues: records.map { ($0.name, $0) }))
        .chain(from: LayerName.ofSnapshot(name))
    }
    #expect(code { _ = try chain([record("a", "b"), record("b", "a")], from: "a") } == "bad-format")
    #expect(code { _ = try chain([record("a", "a")], from: "a") } == "bad-format")
    #expect(code { _ = try chain([record("a", "gone")], from: "a") } == "bad-format")
    let long = (1...250).map { record("s\($0)", $0 == 1 ? "" : "s\($0 - 1)") }
    #expect(try chain(long, from: "s249").count == 249)
    #expect(code { _ = try chain(long, from: "s250") } == "bad-format")
  }

  @Test func headsAreNumberedByTheLastDigit() {
    #expect(LayerName.head(after: "volume-head-000.img") == "volume-head-001.img")
    #expect(LayerName.head(after: "volume-head-009.img") == "volume-head-010.img")
    #expect(LayerName.head(after: "volume-head-010.img") == "volume-head-001.img")
  }
}
