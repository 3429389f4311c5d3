import Compression
import Foundation
import LinuxSystem
import OpenSSL
import StageKit
import TestKit
import Testing

@testable import Backupstore

/// Against stores that Longhorn's own library wrote.
@Suite struct FixtureTests {
  static let parrotChecksum =
    "f3be6eca28f575f19132aca7cc5f34d815092b03fd6dddadf015e05d52cbcc8454a01ef000b4ccb1dd7aa351d92e0aa6894c193acf235002166c2b16bd8ca3a1"
  static let configPath = "backupstore/backing-images/backing-images/parrot/backing-image.cfg"

  @Test func theGeneratorMakesTheFixturesSource() {
    #expect(SourceImage.parrot.bytes.count == 9_438_720)
    #expect(SourceImage.parrot.checksum == Self.parrotChecksum)
  }

  @Test(arguments: ["lz4", "gzip", "none"])
  func restores(_ method: String) throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore(method, in: folder)
    let url = ImageBackupURL(target: bench.target, name: "parrot")
    let restore = try ImageRestore.open(url, bench.session)
    defer { restore.close() }
    #expect(restore.config.checksum == Self.parrotChecksum)
    #expect(same(try restore.all(), SourceImage.parrot.bytes))
    #expect(restore.config.dataSize == 3 * ImageConfig.blockSize + (1 << 20) + 1536)
    let block = ImageConfig.blockSize
    #expect(
      restore.extents(offset: 0, length: restore.config.size) == [
        .init(offset: 0, length: block, isData: true),
        .init(offset: block, length: block, isData: false),
        .init(offset: 2 * block, length: restore.config.size - 2 * block, isData: true),
      ])
    // Parts of blocks and of holes, from a data block into a hole and out of it again.
    var piece = [UInt8](repeating: 0xff, count: Int(block) + 2000)
    try piece.withUnsafeMutableBytes { try restore.read(into: $0, at: block - 1000) }
    #expect(piece[...] == SourceImage.parrot.bytes[(Int(block) - 1000)..<(2 * Int(block) + 1000)])
    #expect(restore.extents(offset: block + 5, length: 10) == [.init(offset: block + 5, length: 10, isData: false)])
    #expect(
      storeError { try piece.withUnsafeMutableBytes { try restore.read(into: $0, at: restore.config.size - 1) } } != nil
    )
  }

  @Test(arguments: ["lz4", "gzip", "none"])
  func inspectsAsTheLibraryDoes(_ method: String) throws {
    struct Expected: Decodable, Equatable {
      var Name: String
      var CompleteAt: String
      var Size: String
      var Checksum: String
      var Labels: [String: String]
      var CompressionMethod: String
      var Secret: String
      var SecretNamespace: String
    }
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore(method, in: folder)
    let expected = try JSONDecoder().decode(Expected.self, from: Data(fixture("expected/\(method)-bi-inspect.json")))
    let names = try JSONDecoder().decode([String].self, from: Data(fixture("expected/\(method)-bi-list.json")))
    #expect(try bench.store.imageNames() == names)
    let config = try bench.store.completeImage(ImageBackupURL(target: bench.target, name: expected.Name))
    #expect(
      Expected(
        Name: config.name, CompleteAt: config.completeTime, Size: "\(config.size)", Checksum: config.checksum,
        Labels: config.labels ?? [:], CompressionMethod: config.effectiveMethod, Secret: config.secret,
        SecretNamespace: config.secretNamespace) == expected)
  }

  @Test(arguments: ["lz4", "gzip", "none"])
  func writesConfigsByteForByte(_ method: String) throws {
    let document = try fixture("\(method)/\(Self.configPath)")
    let config = try document.withUnsafeBytes { try ImageConfig(decoding: $0, path: "test") }
    #expect(config.encoded() == document)
  }

  @Test(arguments: CompressionMethod.allCases)
  func makesTheSameStore(_ method: CompressionMethod) throws {
    let folder = TemporaryFolder("store")
    let bench = try Workbench.folder(folder)
    try bench.backUp(.parrot, as: "parrot", method: method, labels: ["purpose": "fixture", "os": "none"])

    let ours = try #require(FileManager.default.contents(atPath: folder(Self.configPath)))
    let theirs = String(decoding: try fixture("\(method.rawValue)/\(Self.configPath)"), as: UTF8.self)
    let time = /"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"/
    #expect(
      String(decoding: ours, as: UTF8.self).replacing(time, with: "TIME") == theirs.replacing(time, with: "TIME"))

    let images = "/backupstore/backing-images"
    let written = Set(try FileManager.default.subpathsOfDirectory(atPath: folder.path + images))
    let theirStore = TemporaryFolder("longhorn")
    try LonghornStore.copy(method.rawValue, to: theirStore.path)
    #expect(written == Set(try FileManager.default.subpathsOfDirectory(atPath: theirStore.path + images)))
    // The lock is gone, and the folders that only it needed.
    #expect(!FileManager.default.fileExists(atPath: folder("backupstore/volumes")))
    #expect(try bench.restores("parrot", SourceImage.parrot))
  }

  @Test func storedFormsBeginAsLonghornsDo() throws {
    let folder = TemporaryFolder("store")
    let block =
      "backupstore/backing-images/blocks/09/73/09734ccf16667673c255f6d085bb4387948400efc77030d2b193a5c3d67547c2.blk"
    for (method, length) in [("lz4", 7), ("gzip", 10), ("none", 64)] {
      let bench = try Workbench.folder(folder)
      try bench.backUp(.parrot, as: "parrot", method: CompressionMethod(rawValue: method)!)
      let ours = try #require(FileManager.default.contents(atPath: folder(block)))
      let theirs = TemporaryFolder("longhorn")
      try LonghornStore.copy(method, to: theirs.path)
      #expect(try ours.prefix(length).elementsEqual(Folder.readFile(theirs(block), limit: 4 << 20).prefix(length)))
      try FileManager.default.removeItem(atPath: folder("backupstore"))
    }
  }
}
