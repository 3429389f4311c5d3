import Testing

@testable import Backupstore

@Suite struct VolumeFormatTests {
  private func volume(_ text: String) throws -> VolumeConfig {
    try Array(text.utf8).withUnsafeBytes { try VolumeConfig(decoding: $0, path: "cfg") }
  }

  private func backup(_ text: String) throws -> VolumeBackupConfig {
    try Array(text.utf8).withUnsafeBytes { try VolumeBackupConfig(decoding: $0, path: "cfg") }
  }

  private static let zeros = "731859029215873fdac1c9f2f8bd25a334abf0f3a9e1b057cf2cacc2826d86b0"

  /// Source: longhorn-format, 3.2 and 3.3.
  static let volumeDocument =
    #"{"Name":"vol-demo","Size":"1073741824","Labels":{"KubernetesStatus":"{}","RecurringJob":"nightly","longhorn.io/volume-access-mode":"rwo"},"CreatedTime":"2026-01-05T10:00:02Z","LastBackupName":"backup-0123456789ab4cde","LastBackupAt":"2026-01-06T02:00:07Z","BlockCount":"57","BackingImageName":"\"parrot\"","BackingImageChecksum":"\"\"","CompressionMethod":"\"lz4\"","StorageClassName":"\"longhorn\"","DataEngine":"\"v1\""}"#
  static let stubDocument =
    #"{"Name":"backup-0123456789ab4cde","VolumeName":"vol-demo","SnapshotName":"","SnapshotCreatedAt":"","CreatedTime":"","Size":"0","Labels":null,"Parameters":null,"IsIncremental":false,"CompressionMethod":"lz4","NewlyUploadedDataSize":"0","ReUploadedDataSize":"0","ProcessingBlocks":null,"SingleFile":{"FilePath":""}}"#
  static let backupDocument =
    #"{"Name":"backup-0123456789ab4cde","VolumeName":"vol-demo","SnapshotName":"nightly--6f0c1d5e-8a0f-4a55-9a3f-1f2e3d4c5b6a","SnapshotCreatedAt":"2026-01-06T02:00:07Z","CreatedTime":"2026-01-06T02:00:31Z","Size":"2097152","Labels":{"RecurringJob":"nightly"},"Parameters":{"backup-block-size":"2097152","backup-mode":"incremental"},"IsIncremental":true,"CompressionMethod":"lz4","NewlyUploadedDataSize":"8260","ReUploadedDataSize":"0","ProcessingBlocks":null,"Blocks":[{"Offset":4194304,"BlockChecksum":"\#(zeros)"}],"SingleFile":{"FilePath":""}}"#

  @Test func theExamplesOfTheFormat() throws {
    let volume = try volume(Self.volumeDocument)
    #expect(volume.size == 1 << 30)
    #expect(volume.backingImageName == "parrot" && volume.backingImageChecksum == "" && volume.dataEngine == "v1")
    #expect(volume.blockCount == 57)
    #expect(String(decoding: volume.encoded(), as: UTF8.self) == Self.volumeDocument)
    for document in [Self.stubDocument, Self.backupDocument] {
      #expect(String(decoding: try backup(document).encoded(), as: UTF8.self) == document)
    }
    let stub = try backup(Self.stubDocument)
    #expect(!stub.isComplete && stub.blockSize == 2 << 20)
    let complete = try backup(Self.backupDocument)
    #expect(complete.isComplete && complete.isIncremental && complete.blocks.map(\.offset) == [4 << 20])
  }

  @Test(arguments: ["lz4", "gzip", "none"]) func writesLonghornsDocuments(_ method: String) throws {
    let folder = "\(method)/backupstore/volumes/b2/15/macaw-vol"
    let volume = try fixture("\(folder)/volume.cfg")
    #expect(try volume.withUnsafeBytes { try VolumeConfig(decoding: $0, path: "") }.encoded() == volume)
    for name in ["backup-full1", "backup-delta2"] {
      let document = try fixture("\(folder)/backups/backup_\(name).cfg")
      let ours = try document.withUnsafeBytes { try VolumeBackupConfig(decoding: $0, path: "") }.encoded()
      // What a full backup says of what it had to process means nothing, and Longhorn reads either.
      let theirs = String(decoding: document, as: UTF8.self)
        .replacing(#""ProcessingBlocks":{}"#, with: #""ProcessingBlocks":null"#)
      #expect(String(decoding: ours, as: UTF8.self) == theirs)
    }
  }

  @Test func aStubOfDroversSaysWhose() throws {
    var stub = try backup(Self.stubDocument)
    stub.droverLock = "lock-0123456789abcdef"
    let text = String(decoding: stub.encoded(), as: UTF8.self)
    #expect(text == Self.stubDocument.dropLast() + #","DroverLock":"lock-0123456789abcdef"}"#)
    #expect(try backup(text) == stub)
  }

  @Test func doubleQuotesHoldAnything() throws {
    let odd = "a \"b\" \\ <c> \u{2028} \u{e4}\n"
    let config = VolumeConfig(name: "vol-demo", size: 2 << 20, storageClassName: odd)
    let text = String(decoding: config.encoded(), as: UTF8.self)
    // As Go does it: the inner string is escaped by itself, and its backslashes once more.
    #expect(text.contains(#""StorageClassName":"\"a \\\"b\\\" \\\\ \\u003cc\\u003e \\u2028 ä\\n\"","#))
    #expect(try volume(text) == config)
    // Plain strings, null and missing keys are read as well.
    #expect(
      try volume(#"{"Size":4096,"BackingImageName":"parrot","CompressionMethod":null}"#).backingImageName == "parrot")
    #expect(try volume(#"{"Size":"4096","DataEngine":""}"#).dataEngine == "")
  }

  @Test(
    arguments: [
      (nil, 2 << 20), ("", 2 << 20), ("0", 2 << 20), ("2097152", 2 << 20), ("16777216", 16 << 20), ("16Mi", 16 << 20),
      ("2048Ki", 2 << 20), ("4096", 4096), ("8Mi", 8 << 20), ("32Mi", nil), ("1Gi", nil), ("2000000", nil),
      ("2M", nil), ("512", nil), ("-1", nil), ("2MiB", nil), ("16 Mi", nil), ("9999999999999999999999", nil),
      ("18446744073709551615Gi", nil), ("Mi", nil), ("१२", nil),
    ] as [(String?, UInt64?)])
  func blockSizes(_ text: String?, _ size: UInt64?) { #expect(BlockSize.parse(text) == size) }

  static let hostileVolumes: [(String, String)] = [
    ("", "no {"), (String(volumeDocument.dropLast(1)), "no comma"), (String(volumeDocument.prefix(300)), "at byte"),
    (#"{"Size":"-1"}"#, "no whole number"), (#"{"Size":"18446744073709551615"}"#, "too large"),
    (#"{"BackingImageName":"\"../../etc\""}"#, "BackingImageName"),
    (#"{"BackingImageName":"a/b"}"#, "BackingImageName"),
    (#"{"LastBackupName":"../x"}"#, "LastBackupName"), (#"{"BackingImageChecksum":"\"12\""}"#, "BackingImageChecksum"),
    (#"{"BackingImageName":"\"parrot"}"#, "no string within"), (#"{"BackingImageName":5}"#, "no string"),
  ]

  @Test(arguments: hostileVolumes) func refusesVolumes(_ text: String, _ reason: String) {
    let error = storeError { _ = try volume(text) }
    #expect(error?.code == .badConfig)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "none")")
  }

  static let hostileBackups: [(String, String)] = {
    let name = String(repeating: "a", count: 64)
    func blocks(_ entries: String, _ parameters: String = "null") -> String {
      #"{"CreatedTime":"x","Parameters":\#(parameters),"Blocks":[\#(entries)]}"#
    }
    func block(_ offset: String, _ name: String) -> String { #"{"Offset":\#(offset),"BlockChecksum":"\#(name)"}"# }
    return [
      (String(backupDocument.dropLast(60)), "at byte"), (blocks(block("1", name)), "not a multiple"),
      (blocks(block("0", "../../../etc/passwd")), "hexadecimal"),
      (blocks(block("0", name.uppercased())), "hexadecimal"),
      (blocks(block("18446744073707454464", name)), "too large"), (blocks(block("-2097152", name)), "no whole number"),
      (blocks("\(block("2097152", name)),\(block("0", name)),\(block("2097152", name))"), "occurs twice"),
      (blocks(block("0", name), #"{"backup-block-size":"1Ti"}"#), "no size of a block"),
      (blocks(block("2097152", name), #"{"backup-block-size":"16Mi"}"#), "not a multiple"),
      (#"{"SingleFile":5}"#, "no {"), (#"{"Parameters":{"backup-block-size":4}}"#, "no string"),
    ]
  }()

  @Test(arguments: hostileBackups) func refusesBackups(_ text: String, _ reason: String) {
    let error = storeError { _ = try backup(text) }
    #expect(error?.code == .badConfig)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "none")")
  }

  /// A document that was cut off anywhere is refused, and never read as another one.
  @Test func cutAnywhere() throws {
    for length in 0..<Self.backupDocument.utf8.count {
      #expect(storeError { _ = try backup(String(Self.backupDocument.prefix(length))) }?.code == .badConfig)
    }
    for length in 0..<Self.volumeDocument.utf8.count {
      #expect(storeError { _ = try volume(String(Self.volumeDocument.prefix(length))) }?.code == .badConfig)
    }
  }

  @Test func merging() {
    func entries(_ pairs: [(UInt64, String)]) -> [BlockEntry] {
      pairs.map { BlockEntry(offset: $0.0, name: BlockName(String(repeating: $0.1, count: 64))!) }
    }
    let base = entries([(0, "a"), (2, "b"), (4, "c"), (8, "d")])
    let delta = entries([(2, "1"), (3, "2"), (8, "3"), (9, "4")])
    #expect(
      VolumeBackupConfig.merging(delta, over: base)
        == entries([(0, "a"), (2, "1"), (3, "2"), (4, "c"), (8, "3"), (9, "4")]))
    #expect(VolumeBackupConfig.merging([], over: base) == base)
    #expect(VolumeBackupConfig.merging(delta, over: []) == delta)
  }

  @Test func urls() throws {
    let url = try VolumeBackupURL("vfs:///backups?backup=backup-full1\\u0026volume=macaw-vol")
    #expect(url.volume == "macaw-vol" && url.backup == "backup-full1")
    #expect("\(url)" == "file:///backups?backup=backup-full1&volume=macaw-vol")
    #expect(try VolumeBackupURL("\(url)") == url)
    #expect("\(try VolumeBackupURL("file:///b?volume=macaw-vol"))" == "file:///b?volume=macaw-vol")
    #expect(
      "\(try VolumeBackupURL("nfs://h:/p?backup=b1&nfsOptions=soft%2Ctimeo%3D330&volume=v1"))"
        == "nfs://h:/p?backup=b1&nfsOptions=soft%2Ctimeo%3D330&volume=v1")
    #expect(
      "\(try VolumeBackupURL("s3://bucket@eu-1/prefix?volume=v1&backup=b1"))"
        == "s3://bucket@eu-1/prefix?backup=b1&volume=v1")
    for bad in [
      "file:///b?backup=b1", "file:///b?volume=..", "file:///b?volume=a%2Fb", "file:///b?volume=v1&backup=../x",
      "file:///b?volume=v1&volume=v2", "file:///b?volume=", "file:///b", "file:///../b?volume=v1",
      "file:///b?volume=%zz",
    ] {
      #expect(storeError { _ = try VolumeBackupURL(bad) }?.code == .invalid, "\(bad)")
    }
    #expect(VolumeBackupURL.isMeant(by: "file:///b?volume=v1"))
    #expect(!VolumeBackupURL.isMeant(by: "file:///b?backingImage=volume"))
  }
}
