import Backupstore
import Foundation
import OpenSSL
import StageKit
import TestKit
import Testing

@testable import Backupstore
@testable import RestoreStage

/// Backups of volumes, as the runner reads them.
@Suite struct VolumeStageTests {
  let folder = TemporaryFolder("store")
  let job = TemporaryFolder("job")
  let host = StageTests.TestHost()

  private func request(_ url: String, _ more: [String: Any] = [:]) throws -> OpenRequest {
    let params = try JSONSerialization.data(withJSONObject: ["url": url].merging(more) { $1 })
    return OpenRequest(
      role: .source, writable: false, params: String(decoding: params, as: UTF8.self), job: "job",
      jobFolder: job.path)
  }

  private func open(_ url: String, _ more: [String: Any] = [:]) throws -> any Device {
    try RestoreStage.$timing.withValue(.brisk) { try RestoreStage.open(request(url, more), host: host) }
  }

  /// All bytes, read as the pump does: data in blocks, the rest as the extents say.
  private func content(_ device: any Device, step: Int = 2 << 20) throws -> [UInt8] {
    let size = try #require(device.info().size)
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var at: UInt64 = 0
    while at < size {
      let extents = try device.extents(offset: at, length: size - at)
      #expect(extents.first?.offset == at)
      for extent in extents {
        #expect(extent.offset == at && extent.length > 0)
        let end = extent.offset + extent.length
        while extent.kind == .data, at < end {
          let count = min(step, Int(end - at))
          let filled = try bytes.withUnsafeMutableBytes { buffer in
            try device.read(
              into: UnsafeMutableRawBufferPointer(rebasing: buffer[Int(at)..<(Int(at) + count)]), at: at)
          }
          #expect(filled == count)
          at += UInt64(count)
        }
        at = end
      }
    }
    return bytes
  }

  private func checksum(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { hexadecimal(SHA512.hash($0)) } }

  /// Source: README of the fixtures; with the backing image below, they are the snapshots.
  static let snapshots = [
    "backup-full1":
      "36a97311d8ab508420f4866106f3ec7cb0443399d18ed9b0f45576b4ff7260d4e1662a0c96116227ad44b09ed4ad2286528fdbe15ac2196c6b770cb524007dbc",
    "backup-delta2":
      "00fa95444b74590f014d56da6a6d57f64df37e59b56384ef81ca489a0ce6f7f7309b761d9bb00595f003c892459fdddf6c0b73e91985ed188112370d99097f46",
  ]

  @Test(arguments: ["lz4", "gzip", "none"]) func longhornsVolumesOverTheirImage(_ method: String) throws {
    _ = try fixtureStore(method, in: folder)
    for (name, expected) in Self.snapshots {
      let url = "file://\(folder.path)?backup=\(name)&volume=macaw-vol"
      let device = try open(url)
      #expect(checksum(try content(device)) == expected)
      #expect(checksum(try content(device, step: 12_345)) == expected)
      #expect(try device.info().sha512 == nil)
      device.close()
      let plan = try #require(try RestoreStage.plan(request(url), below: nil, host: host))
      #expect(plan.size == 12 << 20)
      #expect(plan.dataSize == 12 << 20)

      let blocks = try open(url, ["view": "blocks"])
      #expect(checksum(try content(blocks)) == VolumeRestoreTests.restored[name])
      let kinds = try blocks.extents(offset: 0, length: 12 << 20).map(\.kind)
      #expect(kinds.contains(.absent) && !kinds.contains(.zero))
      blocks.close()
    }
    let record = try host.record("source")
    #expect(record["backingImage"] as? String == "parrot")
    let left = FileManager.default.subpaths(atPath: folder("backupstore/volumes"))?.filter { $0.hasSuffix(".lck") }
    #expect(left == [])
  }

  /// The image's file is qcow2, and the volume lies over the disk in it.
  @Test func aVolumeOverAQcow2Image() throws {
    let bench = try Workbench.folder(folder)
    let files = TemporaryFolder("files")
    let size = 12 << 20
    var disk = [UInt8](repeating: 0, count: size)
    for index in stride(from: 1 << 20, to: 9 << 20, by: 64) { disk[index] = UInt8(truncatingIfNeeded: index >> 9) | 1 }
    try Data(disk).write(to: URL(filePath: files("disk")))
    for options in [[], ["-c"]] {
      try run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2"] + options + [files("disk"), files("image")])
      let file = Array(try #require(FileManager.default.contents(atPath: files("image"))))
      // Whole blocks for the source of the test; the rest of a qcow2 file does not matter.
      let padded = file + [UInt8](repeating: 0, count: (512 - file.count % 512) % 512)
      let blocks = stride(from: 0, to: UInt64(padded.count), by: SourceImage.block).map { $0 }
      let image = SourceImage(bytes: padded, blocks: blocks)
      let name = "base\(options.count)"
      try bench.backUp(image, as: name)
      var volume = try VolumeStore([nil, 7, nil, nil, 8, nil, nil], in: bench.store)
      volume.volume.backingImageName = name
      volume.volume.backingImageChecksum = image.checksum
      try volume.write(to: bench.store)

      var expected = disk + [UInt8](repeating: 0, count: 2 << 20)
      expected.replaceSubrange((2 << 20)..<(4 << 20), with: VolumeStore.block(7, 2 << 20))
      expected.replaceSubrange((8 << 20)..<(10 << 20), with: VolumeStore.block(8, 2 << 20))
      let device = try open("file://\(folder.path)?volume=vol-demo&backup=backup-1")
      #expect(isSame(try content(device), expected))
      #expect(isSame(try content(device, step: 100_000), expected))
      device.close()

      let guest = try open("file://\(folder.path)?backingImage=\(name)", ["view": "guest"])
      #expect(isSame(try content(guest), disk))
      guest.close()
    }
    let raw = try open("file://\(folder.path)?backingImage=base0")
    #expect(try raw.info().sha512?.count == 128)
    raw.close()
  }

  private var losses: [[String: Any]] {
    host.records.filter { $0.kind == "damage" }.compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.json.utf8)) as? [String: Any]
    }.sorted { ($0["offset"] as? Int ?? 0) < ($1["offset"] as? Int ?? 0) }
  }

  private func code(_ url: String, _ more: [String: Any] = [:]) -> String? {
    do {
      let device = try open(url, more)
      defer { device.close() }
      _ = try content(device)
      return nil
    } catch {
      return ((error as? any StageErrorConvertible)?.stageError ?? error as? StageError)?.code ?? "\(error)"
    }
  }

  @Test func whatIsLostOfAVolumeAndOfItsImage() throws {
    let bench = try fixtureStore("lz4", in: folder)
    let url = "file://\(folder.path)?backup=backup-full1&volume=macaw-vol"
    let volume = try #require(try bench.store.volumeBackupConfig("backup-full1", of: "macaw-vol"))
    let image = try #require(try bench.store.imageConfig("parrot"))
    let own = BlockPool.volume("macaw-vol", blockSize: 2 << 20).path(of: volume.blocks[1].name)
    let below = StoreLayout.imageBlock(image.blocks[3].name)
    let whole = try { () throws -> [UInt8] in
      let device = try open(url)
      defer { device.close() }
      return try content(device)
    }()
    try FileManager.default.removeItem(atPath: folder(own))
    #expect(code(url) == "missing-block")
    try Data("garbage".utf8).write(to: URL(filePath: folder(below)))
    #expect(code(url) != nil)

    let device = try open(url, ["salvage": true])
    let bytes = try content(device)
    device.close()
    let block = 2 << 20
    let last = (1 << 20) + 1536
    var expected = whole
    // Block 3 is the volume's own, the short one behind it the image's last.
    for lost in [3 * block..<4 * block, 4 * block..<(4 * block + last)] {
      expected.replaceSubrange(lost, with: [UInt8](repeating: 0, count: lost.count))
    }
    #expect(isSame(bytes, expected))
    #expect(losses.map { $0["offset"] as? Int } == [3 * block, 4 * block])
    #expect(losses.map { $0["length"] as? Int } == [block, last])
    #expect(losses.map { $0["reason"] as? String } == ["missing", "bad"])
    #expect(losses.map { $0["block"] as? String } == [volume.blocks[1].name, image.blocks[3].name].map { "\($0)" })
  }

  /// Whether such an image is raw or qcow2 nobody can tell, so nothing of it is taken for good.
  @Test func anImageWhoseBeginningIsLost() throws {
    let bench = try fixtureStore("lz4", in: folder)
    let image = try #require(try bench.store.imageConfig("parrot"))
    try FileManager.default.removeItem(atPath: folder(StoreLayout.imageBlock(image.blocks[0].name)))
    let url = "file://\(folder.path)?backup=backup-full1&volume=macaw-vol"
    #expect(code(url) == "missing-block")
    let device = try open(url, ["salvage": true])
    #expect(checksum(try content(device)) == VolumeRestoreTests.restored["backup-full1"])
    device.close()
    #expect(losses.map { $0["offset"] as? Int } == [0, 4 << 20, 8 << 20])
  }

  @Test func anImageThatIsNotThereOrAnother() throws {
    let bench = try fixtureStore("lz4", in: folder)
    let url = "file://\(folder.path)?backup=backup-full1&volume=macaw-vol"
    var config = try #require(try bench.store.volumeConfig("macaw-vol"))
    config.backingImageChecksum = String(repeating: "0", count: 128)
    try bench.store.write(StoreLayout.volumeConfig("macaw-vol"), document: config.encoded())
    #expect(code(url) == "checksum-mismatch")
    #expect(storeError { _ = try RestoreStage.plan(request(url), below: nil, host: host) }?.code == .checksumMismatch)
    config.backingImageName = "macaw"
    try bench.store.write(StoreLayout.volumeConfig("macaw-vol"), document: config.encoded())
    #expect(code(url) == "not-found")
    // The volume's own blocks don't need it.
    #expect(code(url, ["view": "blocks"]) == nil)

    let device = try open(url, ["salvage": true])
    #expect(checksum(try content(device)) == VolumeRestoreTests.restored["backup-full1"])
    device.close()
    let lost = losses.reduce(0) { $0 + ($1["length"] as? Int ?? 0) }
    #expect(lost == 3 * (2 << 20))
    #expect(losses.allSatisfy { ($0["reason"] as? String)?.contains("backing image macaw is lost") == true })
  }

  @Test func badParametersAreNamed() throws {
    _ = try fixtureStore("lz4", in: folder)
    for (url, more, expected) in [
      ("?volume=..", [:], "invalid"), ("?volume=macaw-vol", [:], "invalid"), ("?backup=b1", [:], "invalid"),
      ("?backingImage=parrot", ["view": "blocks"], "invalid"),
      ("?backingImage=parrot", ["view": "upside-down"], "not-supported"),
      ("?backup=backup-nope&volume=macaw-vol", [:], "not-found"),
      ("?backup=backup-full1&volume=macaw-none", [:], "not-found"),
    ] as [(String, [String: Any], String)] {
      #expect(code("file://\(folder.path)\(url)", more) == expected, "\(url)")
    }
    let left = FileManager.default.subpaths(atPath: folder("backupstore"))?.filter { $0.hasSuffix(".lck") }
    #expect(left == [], "no lock is left")
  }

  private func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(program) \(arguments)")
  }

  /// Not within an expectation, which would print both.
  private func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool { same(left, right) }
}
