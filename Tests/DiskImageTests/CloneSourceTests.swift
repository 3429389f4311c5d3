import CloneStage
import DiskImage
import Foundation
import LinuxSystem
import StageKit
import TestKit
import Testing

func sourceRequest(_ path: String, view: String? = nil) -> OpenRequest {
  let view = view.map { #", "view": "\#($0)""# } ?? ""
  return OpenRequest(
    role: .source, writable: false, params: #"{"path": "\#(path)"\#(view)}"#, job: "j1", jobFolder: "/nonexistent")
}

@Suite struct CloneSourceTests {
  let host = RecordingHost()

  func open(_ path: String) throws -> any Device { try CloneStage.open(sourceRequest(path), host: host) }

  func read(_ device: any Device, _ length: Int, at offset: UInt64) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: length)
    let count = try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: offset) }
    return Array(bytes[..<count])
  }

  @Test func knowsWhatTheSidecarsSay() throws {
    let image = try SampleImage()
    let device = try open(image.path)
    let info = try device.info()
    #expect(info.size == 3 << 20)
    #expect(info.sha512 == image.checksum)
    #expect(info.blockHashes == image.hashes)
    #expect(info.flags == .imageFile)
    #expect(info.identity?.isEmpty == false)
    #expect(try read(device, 1000, at: 77) == Array(image.content[77..<1077]))
    #expect(try read(device, 3 << 20, at: 0) == image.content)
    let range = try #require(try device.fileRange(offset: 512, length: 512))
    #expect(range.offset == 512)
    #expect(FileStamp(try FileStatus.of(descriptor: range.descriptor)).text == info.identity)
  }

  @Test func knowsNoChecksumOfAFileWithoutSidecars() throws {
    let image = try SampleImage()
    try Folder.remove(file: image.path + ".blocks")
    #expect(try open(image.path).info().sha512 == image.checksum)
    #expect(try open(image.path).info().blockHashes == nil)
    try Folder.remove(file: image.path + ".cfg")
    #expect(try open(image.path).info().sha512 == nil)
  }

  @Test func holesAreZeroExtents() throws {
    let folder = TemporaryFolder("sparse")
    let file = try OpenFile.open(folder("image"), .createNew(permissions: 0o600))
    try file.truncate(to: 8 << 20)
    try [UInt8](repeating: 1, count: 1 << 20).withUnsafeBytes { try file.write($0, at: 4 << 20) }
    try file.sync()
    let device = try open(folder("image"))
    #expect(
      try device.extents(offset: 0, length: 8 << 20) == [
        Extent(offset: 0, length: 4 << 20, kind: .zero), Extent(offset: 4 << 20, length: 1 << 20, kind: .data),
        Extent(offset: 5 << 20, length: 3 << 20, kind: .zero),
      ])
    #expect(try device.info().dataSize == 1 << 20)
    let plan = try CloneStage.plan(sourceRequest(folder("image")), below: nil, host: host)
    #expect(plan?.size == 8 << 20 && plan?.dataSize == 1 << 20 && plan?.filePath == folder("image"))
  }

  @Test func aFileThatIsWrittenMeanwhileIsNoticed() throws {
    let image = try SampleImage()
    let device = try open(image.path)
    let file = try OpenFile.open(image.path, .readWrite)
    try [1].withUnsafeBytes { try file.write($0, at: 5) }
    let error = try stageError { _ = try device.info() }
    #expect(error.code == "source-changed" && error.retry == .never)
    #expect(error.message.contains(image.path))
  }

  @Test func aFileThatIsCutMeanwhileIsNoticedByTheRead() throws {
    let image = try SampleImage()
    let device = try open(image.path)
    try OpenFile.open(image.path, .readWrite).truncate(to: 1 << 20)
    #expect(try stageError { _ = try read(device, 1 << 20, at: 1 << 19) }.code == "source-changed")
  }

  @Test func aFileThatIsRemovedOrReplacedMeanwhileIsNoticed() throws {
    let image = try SampleImage()
    let removed = try open(image.path)
    try Folder.rename(image.path, image.path + ".old")
    #expect(try stageError { _ = try removed.info() }.code == "source-changed")
    let replaced = try open(image.path + ".old")
    try Folder.writeDurably(image.path + ".old", image.content)
    #expect(try stageError { _ = try replaced.info() }.code == "source-changed")
  }

  @Test func refusesWhatIsNoImageFile() throws {
    let image = try SampleImage(size: 4096)
    #expect(symlink(image.path, image.folder("link")) == 0)
    #expect(mkfifo(image.folder("pipe"), 0o600) == 0)
    for (path, code, word) in [
      (image.folder("link"), "invalid", "symbolic link"), (image.folder.path, "invalid", "not a regular file"),
      (image.folder("pipe"), "invalid", "not a regular file"), ("/dev/zero", "invalid", "not a regular file"),
      (image.folder("absent"), "not-found", "no image file"), ("relative", "invalid", "must be absolute"),
      (image.path + "/below", "not-found", "no image file"),
    ] {
      let error = try stageError { _ = try open(path) }
      #expect(error.code == code && error.message.contains(word), "\(path): \(error)")
      #expect(try stageError { _ = try CloneStage.plan(sourceRequest(path), below: nil, host: host) }.code == code)
    }
    let error = try stageError { _ = try CloneStage.open(sourceRequest(image.path, view: "bird's-eye"), host: host) }
    #expect(error.code == "not-supported" && error.message.contains("bird's-eye"))
  }

  @Test func namesTheParameterThatIsWrong() throws {
    var request = sourceRequest("/x")
    request.params = "{}"
    #expect(try stageError { _ = try CloneStage.open(request, host: host) }.message == "parameter path is missing")
    request.params = #"{"path": 3}"#
    #expect(
      try stageError { _ = try CloneStage.open(request, host: host) }.message == "parameter path must be a string")
  }
}
