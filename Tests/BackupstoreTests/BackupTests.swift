import Compression
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct BackupTests {
  static let image = SourceImage.filled([1, nil, 2, 1, 3])

  @Test(arguments: CompressionMethod.allCases) func roundTrips(_ method: CompressionMethod) throws {
    let (bench, store) = Workbench.memory()
    let result = try bench.backUp(Self.image, as: "parrot", method: method, labels: ["a": "b"])
    #expect(result.config.blockCount == 4)
    #expect(result.config.blocks.count == 4)
    #expect(result.config.labels == ["a": "b"])
    #expect(result.uploadedBytes > 0)
    #expect(result.url.description == "file:///memory?backingImage=parrot")
    #expect(store.paths.filter { $0.hasSuffix(".blk") }.count == 3, "equal blocks are stored once")
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
    #expect(try bench.restores("parrot", Self.image))
  }

  @Test func anImageOfHolesOnly() throws {
    let (bench, store) = Workbench.memory()
    let image = SourceImage.filled([nil, nil])
    let result = try bench.backUp(image, as: "parrot")
    #expect(result.config.blocks == [])
    #expect(
      store[StoreLayout.imageConfig("parrot")].map { String(decoding: $0, as: UTF8.self) }?.contains("\"Blocks\":[")
        == false)
    #expect(try bench.restores("parrot", image))
  }

  @Test func manyThreadsWriteEqualBlocksOnce() throws {
    let (bench, store) = Workbench.memory()
    let counted = HookedStore(store)
    let image = SourceImage.filled([5, 5, 5, 5, 6, 5, 6, 5, 5])
    let backup = try ImageBackup.open(bench.request(image, as: "parrot"), at: bench.target, bench.on(counted).session)
    defer { backup.close() }
    let before = counted.writes
    DispatchQueue.concurrentPerform(iterations: image.blocks.count) { index in
      let offset = image.blocks[index]
      do {
        try image.bytes.withUnsafeBytes {
          try backup.write(UnsafeRawBufferPointer(rebasing: $0[image.range(offset)]), at: offset)
        }
      } catch {
        Issue.record(error)
      }
    }
    #expect(counted.writes == before + 3)
    try backup.flush()
    _ = try backup.commit(size: image.size, checksum: image.checksum)
    #expect(try bench.restores("parrot", image))
  }

  /// The stub is there before the first block, and the final config after the last.
  @Test func writesInOrder() throws {
    let (bench, store) = Workbench.memory()
    let hooked = HookedStore(store)
    let log = Mutex<[String]>([])
    hooked.beforeWrite = { path, bytes in
      let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
      let kind =
        path.hasSuffix(".lck")
        ? "lock" : path.hasSuffix(".blk") ? "block" : text.contains(#""CompleteTime":"""#) ? "stub" : "config"
      log.withLock { $0.append(kind) }
    }
    try bench.on(hooked).backUp(Self.image, as: "parrot")
    #expect(log.withLock { $0 } == ["lock", "lock", "stub", "block", "block", "block", "config"])
  }

  @Test func theStubNamesItsLockAndTheConfigDoesNot() throws {
    let (bench, store) = Workbench.memory()
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    let stub = try #require(try bench.store.imageConfig("parrot"))
    #expect(!stub.isComplete)
    #expect(try stub.droverLock == backup.claimed().name)
    #expect(stub.blocks == [])
    #expect(storeError { _ = try bench.restore("parrot") }?.code == .unfinishedBackup)
    try backup.write(Self.image)
    _ = try backup.commit(size: Self.image.size, checksum: nil)
    #expect(String(decoding: store[StoreLayout.imageConfig("parrot")]!, as: UTF8.self).contains("DroverLock") == false)
  }

  @Test(arguments: [0, 511, 513, 2 << 20 + 1] as [UInt64]) func badSizes(_ size: UInt64) throws {
    let (bench, store) = Workbench.memory()
    var request = bench.request(Self.image, as: "parrot")
    request.size = size
    let error = storeError { _ = try ImageBackup.open(request, at: bench.target, bench.session) }
    #expect(error?.code == .badSize)
    #expect(error?.retry == .never)
    #expect(store.paths == [])
  }

  @Test(arguments: ["", "a", "a/b", "../x", ".hidden", "a b", String(repeating: "a", count: 65), "x.tmp.12"])
  func badNames(_ name: String) throws {
    let (bench, store) = Workbench.memory()
    let error = storeError { try bench.backUp(Self.image, as: name) }
    #expect(error?.code == .invalid)
    #expect(store.paths == [])
  }

  @Test func onlyWholeBlocksAreTaken() throws {
    let (bench, _) = Workbench.memory()
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    let block = [UInt8](repeating: 1, count: 2 << 20)
    try block.withUnsafeBytes { block in
      for (count, offset) in [(512, 0), (2 << 20, 512), (2 << 20, 8 << 20), (1024, 8 << 20), (512, 10 << 20)]
        as [(Int, UInt64)]
      {
        let piece = UnsafeRawBufferPointer(rebasing: block[..<count])
        #expect(storeError { try backup.write(piece, at: offset) }?.code == .invalid)
      }
      try backup.write(UnsafeRawBufferPointer(rebasing: block[..<512]), at: 8 << 20)
    }
    #expect(storeError { try backup.zero(offset: .max - 5, length: 10) }?.code == .invalid)
  }

  @Test func aDamagedBlockOfTheImageIsFound() throws {
    let (bench, store) = Workbench.memory()
    var request = bench.request(Self.image, as: "parrot")
    request.blockHashes = Self.image.blockHashes
    var damaged = Self.image
    damaged.bytes[Int(damaged.blocks[1]) + 77] ^= 1
    let error = storeError { try bench.backUp(damaged, request) }
    #expect(error?.code == .checksumMismatch)
    #expect(error?.retry == .never)
    #expect(error?.message.contains("offset \(damaged.blocks[1])") == true)
    #expect(try bench.store.imageConfig("parrot")?.isComplete == false)
    // A block that became a hole is never written; the commit finds it.
    var holed = Self.image
    holed.blocks.remove(at: 1)
    let other = storeError { try bench.backUp(holed, request) }
    #expect(other?.code == .checksumMismatch)
    #expect(other?.message.contains("offset \(damaged.blocks[1])") == true)
    try bench.backUp(Self.image, request)
    #expect(store.paths.filter { $0.hasSuffix(".cfg") }.count == 1)
  }

  @Test func aWrongChecksumOfTheWholeIsFound() throws {
    let (bench, _) = Workbench.memory()
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    defer { backup.close() }
    try backup.write(Self.image)
    let error = storeError {
      _ = try backup.commit(size: Self.image.size, checksum: String(repeating: "0", count: 128))
    }
    #expect(error?.code == .checksumMismatch)
    #expect(try bench.store.imageConfig("parrot")?.isComplete == false)
  }

  @Test func otherContentIsAConflict() throws {
    let (bench, store) = Workbench.memory()
    try bench.backUp(Self.image, as: "parrot")
    let before = store[StoreLayout.imageConfig("parrot")]
    let error = storeError { try bench.backUp(.filled([9, 9]), as: "parrot") }
    #expect(error?.code == .contentConflict)
    #expect(error?.retry == .never)
    #expect(store[StoreLayout.imageConfig("parrot")] == before)
    #expect(try bench.restores("parrot", Self.image))
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
  }

  @Test func theSameContentIsDoneWithoutAnUpload() throws {
    let (bench, store) = Workbench.memory()
    let first = try bench.backUp(Self.image, as: "parrot", labels: ["first": ""])
    let paths = store.paths
    let again = try bench.backUp(Self.image, as: "parrot", labels: ["second": ""])
    #expect(again.config == first.config)
    #expect(again.uploadedBytes == 0)
    #expect(store.paths == paths)
  }

  /// The blocks are listed, and what is missing comes from the image, whether the copy brings the block or not.
  @Test(arguments: [true, false]) func missingBlocksAreUploadedAgain(_ copies: Bool) throws {
    let (bench, store) = Workbench.memory()
    let image = SourceImage.filled([1, 0, 2, nil, 3])
    let first = try bench.backUp(image, as: "parrot")
    for block in first.config.blocks { store[StoreLayout.imageBlock(block.name)] = nil }
    #expect(storeError { _ = try bench.restore("parrot") }?.code == .missingBlock)
    let backup = try ImageBackup.open(bench.request(image, as: "parrot"), at: bench.target, bench.session)
    if copies {
      // A block of zeros is a hole in the image now, so the copy does not bring it.
      try backup.write(SourceImage(bytes: image.bytes, blocks: image.blocks.filter { $0 != 2 << 20 }))
    }
    let again = try backup.commit(size: image.size, checksum: image.checksum)
    backup.close()
    #expect(again.config == first.config)
    #expect(again.uploadedBytes > 0)
    #expect(try bench.restores("parrot", image))
  }

  @Test func aPoolOfMixedMethodsIsReadByContent() throws {
    let (bench, _) = Workbench.memory()
    // The first image's blocks are stored raw, gzip and lz4, and the configs say something else.
    let images = [SourceImage.filled([1, 2, nil, 7]), .filled([2, 3, 1, 7]), .filled([3, 4, 2, 1, 7])]
    for (index, method) in [CompressionMethod.none, .gzip, .lz4].enumerated() {
      try bench.backUp(images[index], as: "image-\(index)", method: method)
    }
    for (index, image) in images.enumerated() { #expect(try bench.restores("image-\(index)", image)) }
  }

  /// Raw blocks that begin like packed ones.
  @Test(arguments: [[0x1f, 0x8b, 8, 0] as [UInt8], [0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9]])
  func rawBlocksThatLookPacked(_ magic: [UInt8]) throws {
    let (bench, _) = Workbench.memory()
    var image = SourceImage.filled([1, 2])
    image.bytes.replaceSubrange(0..<magic.count, with: magic)
    try bench.backUp(image, as: "parrot", method: .none)
    #expect(try bench.restores("parrot", image))
  }

  @Test func badBlocksAreNamed() throws {
    let (bench, store) = Workbench.memory()
    let result = try bench.backUp(Self.image, as: "parrot")
    let victim = result.config.blocks[1]
    let path = StoreLayout.imageBlock(victim.name)
    let good = try #require(store[path])
    let damaged: [[UInt8]] = [
      [], Array(good.dropLast()), Array(good.prefix(10)), good.map { ~$0 }, [UInt8](repeating: 0, count: 2 << 20),
      [UInt8](repeating: 0, count: (4 << 20) + 1), store[StoreLayout.imageBlock(result.config.blocks[0].name)]!,
    ]
    for bytes in damaged {
      store[path] = bytes
      let error = storeError { _ = try bench.restore("parrot") }
      #expect(error?.code == .badBlock)
      #expect(error?.retry == .never)
      #expect(error?.message.contains(victim.name.description) == true)
      #expect(error?.message.contains("offset \(victim.offset)") == true)
    }
    store[path] = nil
    let error = storeError { _ = try bench.restore("parrot") }
    #expect(error?.code == .missingBlock)
    #expect(error?.message.contains(victim.name.description) == true)
    #expect(error?.message.contains("offset \(victim.offset)") == true)
    store[path] = good
    #expect(try bench.restores("parrot", Self.image))
  }

  @Test func restoreRefusesWhatItCantRead() throws {
    let (bench, store) = Workbench.memory()
    #expect(storeError { _ = try bench.restore("parrot") }?.code == .notFound)
    for (text, code) in [
      ("", StoreError.Code.badConfig), ("not json", .badConfig),
      (#"{"Name":"parrot","Size":"0","CompleteTime":"2026-01-05T10:00:09Z"}"#, .badConfig),
      (#"{"Name":"parrot","Size":"512","CompleteTime":""}"#, .unfinishedBackup),
    ] {
      store[StoreLayout.imageConfig("parrot")] = Array(text.utf8)
      #expect(storeError { _ = try bench.restore("parrot") }?.code == code)
      #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
    }
  }

  @Test func aHugeImageOfHolesNeedsNoMemory() throws {
    let (bench, store) = Workbench.memory()
    store[StoreLayout.imageConfig("parrot")] = Array(
      #"{"Name":"parrot","Size":"9223372036854775296","CompleteTime":"2026-01-05T10:00:09Z"}"#.utf8)
    let restore = try ImageRestore.open(ImageBackupURL(target: bench.target, name: "parrot"), bench.session)
    defer { restore.close() }
    #expect(
      restore.extents(offset: 0, length: .max) == [.init(offset: 0, length: 9_223_372_036_854_775_296, isData: false)])
    var end = [UInt8](repeating: 1, count: 512)
    try end.withUnsafeMutableBytes { try restore.read(into: $0, at: 9_223_372_036_854_774_784) }
    #expect(end.allSatisfy { $0 == 0 })
  }

  @Test func aStoreThatCantBeWrittenIsRestoredWithoutALock() throws {
    let (bench, store) = Workbench.memory()
    try bench.backUp(Self.image, as: "parrot")
    let readOnly = HookedStore(store)
    readOnly.failure = StoreError(.notPermitted, "read-only")
    #expect(try bench.on(readOnly).restores("parrot", Self.image))
    #expect(bench.observer.lines.contains { $0.contains("without a lock") })
  }

  @Test func foreignFilesAreIgnored() throws {
    let folder = TemporaryFolder("store")
    let bench = try Workbench.folder(folder)
    try bench.backUp(Self.image, as: "parrot")
    let images = StoreLayout.images
    for path in [
      "\(images)/parrot/backing-image.cfg.tmp.123", "\(images)/README.txt", "\(images)/robin.tmp.99/x",
      "\(images)/-bad/backing-image.cfg", "\(StoreLayout.imageBlocks)/README", "\(StoreLayout.imageBlocks)/zz/file",
      "\(StoreLayout.imageBlocks)/aa/bb/odd.blk", "\(StoreLayout.imageBlocks)/aa/bb/x.blk.tmp.1",
    ] {
      try bench.store.write(path, document: [1, 2, 3])
    }
    #expect(try bench.restores("parrot", Self.image))
    try bench.backUp(Self.image, as: "robin")
    let result = try ImageDeletion.delete("parrot", bench.session)
    #expect(result == DeletionResult(existed: true, removedBlocks: 0, kept: nil))
    #expect(try bench.restores("robin", Self.image))
    #expect(try FileStatus.of(folder("\(images)/README.txt")) != nil)
    #expect(try FileStatus.of(folder("\(images)/parrot")) == nil)
  }
}
