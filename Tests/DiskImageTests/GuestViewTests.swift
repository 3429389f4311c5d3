import CloneStage
import DiskImage
import Foundation
import LinuxSystem
import StageKit
import TestKit
import Testing

@Suite struct GuestViewTests {
  let host = RecordingHost()
  let folder = TemporaryFolder("guest")

  func open(_ path: String) throws -> any Device {
    try CloneStage.open(sourceRequest(path, view: "guest"), host: host)
  }

  func write(_ bytes: [UInt8]) throws -> String {
    let file = try OpenFile.open(folder("image"), .create(permissions: 0o600))
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    return file.path
  }

  @Test func aRawImageIsItsFile() throws {
    let image = try SampleImage()
    let device = try open(image.path)
    let info = try device.info()
    let asFile = try CloneStage.open(sourceRequest(image.path, view: "file"), host: host).info()
    #expect(info.size == 3 << 20 && info.sha512 == image.checksum && info.blockHashes == image.hashes)
    #expect(info.flags == .imageFile && info.identity == asFile.identity)
    #expect(try device.fileRange(offset: 0, length: 512) != nil)
    let plan = try CloneStage.plan(sourceRequest(image.path, view: "guest"), below: nil, host: host)
    #expect(plan?.filePath == image.path)
  }

  @Test func aQcow2ImageIsTheDiskInIt() throws {
    let path = try write(HandMadeQcow2().bytes)
    let device = try open(path)
    let info = try device.info()
    #expect(info.size == 65536 && info.dataSize == 1536)
    #expect(info.flags == [] && info.sha512 == nil && info.blockHashes == nil)
    #expect(info.identity?.isEmpty == false)
    #expect(try device.fileRange(offset: 0, length: 512) == nil)
    #expect(
      try device.extents(offset: 0, length: 65536) == [
        Extent(offset: 0, length: 512, kind: .data), Extent(offset: 512, length: 32256, kind: .zero),
        Extent(offset: 32768, length: 1024, kind: .data), Extent(offset: 33792, length: 31744, kind: .zero),
      ])
    var bytes = [UInt8](repeating: 0xEE, count: 1024)
    #expect(try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 32768) } == 1024)
    #expect(bytes == [UInt8](repeating: 0xBB, count: 512) + [UInt8](repeating: 0xCC, count: 512))
    let plan = try #require(try CloneStage.plan(sourceRequest(path, view: "guest"), below: nil, host: host))
    #expect(plan.size == 65536 && plan.dataSize == 1536 && plan.filePath == nil && plan.space == 0)
    let asFile = try CloneStage.open(sourceRequest(path), host: host).info()
    #expect(asFile.size == 4096 && asFile.flags == .imageFile && asFile.identity != info.identity)
  }

  @Test func whatCantBeReadIsRefusedForGood() throws {
    var bytes = HandMadeQcow2().bytes
    put(4, 4, &bytes, at: 4)
    let path = try write(bytes)
    for call in [
      { _ = try open(path) }, { _ = try CloneStage.plan(sourceRequest(path, view: "guest"), below: nil, host: host) },
    ] {
      let error = try stageError(asTheHostSeesIt(call))
      #expect(error.code == "bad-format" && error.retry == .never)
      #expect(error.message.contains(path) && error.message.contains("version 4"))
    }
    // As a file it can be copied.
    #expect(try CloneStage.open(sourceRequest(path), host: host).info().size == 4096)
  }

  /// What the bridge makes of an error.
  func asTheHostSeesIt(_ call: @escaping () throws -> Void) -> () throws -> Void {
    {
      do { try call() } catch let error as any StageErrorConvertible { throw error.stageError }
    }
  }

  @Test func damageInATableIsFoundBeforeAnythingIsCopied() throws {
    var image = HandMadeQcow2()
    put(1 << 30, 8, &image.bytes, at: image.l2(60))
    let path = try write(image.bytes)
    #expect(try stageError(asTheHostSeesIt { _ = try open(path) }).code == "bad-format")
  }

  @Test func aFileThatIsWrittenMeanwhileIsNoticed() throws {
    let path = try write(HandMadeQcow2().bytes)
    let device = try open(path)
    try OpenFile.open(path, .readWrite).truncate(to: 3000)
    var bytes = [UInt8](repeating: 0, count: 65536)
    let read = { _ = try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 0) } }
    #expect(try stageError(read).code == "source-changed")
    #expect(try stageError { _ = try device.info() }.code == "source-changed")
  }
}
