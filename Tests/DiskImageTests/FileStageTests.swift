import FileStage
import LinuxSystem
import StageKit
import TestKit
import Testing

/// The sink that makes a plain file.
@Suite struct FileStageTests {
  let folder = TemporaryFolder("file")
  let host = RecordingHost()
  var place: String { folder("out") }

  private func request(replace: Bool = false, path: String? = nil) -> OpenRequest {
    OpenRequest(
      role: .sink, writable: true, params: #"{"path": "\#(path ?? place)", "replace": \#(replace)}"#, job: "j",
      jobFolder: folder.path)
  }

  private func open(replace: Bool = false) throws -> any Device {
    try FileStage.open(request(replace: replace), host: host)
  }

  private func write(_ bytes: [UInt8], at offset: UInt64, _ device: any Device) throws {
    try bytes.withUnsafeBytes { try device.write($0, at: offset) }
  }

  private func code(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return (error as? StageError)?.code ?? "\(error)" }
    return nil
  }

  @Test func isThereOnlyWhenItIsWhole() throws {
    let device = try open()
    try write([1, 2, 3], at: 8192, device)
    try write([4], at: 0, device)
    try device.zero(offset: 4096, length: 4096)
    try device.flush()
    #expect(try FileStatus.of(place) == nil)
    try device.commit(Commit(size: 16384))
    device.close()
    var expected = [UInt8](repeating: 0, count: 16384)
    expected.replaceSubrange(8192..<8195, with: [1, 2, 3])
    expected[0] = 4
    #expect(try Folder.readFile(place, limit: 1 << 20) == expected)
    #expect(try Folder.list(folder.path) == ["out"])
    #expect(try FileStatus.of(place)?.permissions == 0o600)
  }

  @Test func nothingIsReplacedUnasked() throws {
    try Folder.writeDurably(place, [9])
    #expect(code { _ = try open() } == "conflict")
    #expect(code { _ = try FileStage.plan(request(), below: nil, host: host) } == "conflict")
    #expect(code { _ = try FileStage.open(request(path: folder.path), host: host) } == "conflict")
    #expect(code { _ = try FileStage.open(request(path: folder("none/x")), host: host) } == "not-found")
    #expect(code { _ = try FileStage.open(request(path: "relative"), host: host) } == "invalid")
    let device = try open(replace: true)
    try write([1], at: 0, device)
    #expect(try Folder.readFile(place, limit: 10) == [9])
    try device.commit(Commit(size: 1))
    #expect(try Folder.readFile(place, limit: 10) == [1])
    try Folder.remove(file: place)
    // What comes into the place while the file is written stays as well.
    let late = try open()
    try Folder.writeDurably(place, [9])
    #expect(code { try late.commit(Commit(size: 1)) } == "conflict")
    #expect(try Folder.readFile(place, limit: 10) == [9])
  }

  @Test func whatIsGivenUpLeavesNothing() throws {
    do {
      let device = try open()
      try write([1, 2, 3], at: 0, device)
      // Two at once would spoil each other's.
      #expect(code { _ = try open() } == "locked")
      // Whoever was refused leaves what it didn't make.
      try FileStage.discard(request(), host: host)
      #expect(try Folder.list(folder.path) == [".out.drover-partial"])
      // One that lost its name can't take another's.
      try Folder.rename(folder(".out.drover-partial"), folder("moved"))
      try Folder.writeDurably(folder(".out.drover-partial"), [7])
      #expect(code { try device.commit(Commit(size: 3)) } == "conflict")
      #expect(try FileStatus.of(place) == nil)
      try Folder.rename(folder("moved"), folder(".out.drover-partial"))
      device.close()
    }
    #expect(try Folder.list(folder.path) == [".out.drover-partial"])
    try FileStage.discard(request(), host: host)
    #expect(try Folder.list(folder.path) == [])
    try FileStage.discard(request(), host: host)
    // What a crash left is begun anew.
    try Folder.writeDurably(folder(".out.drover-partial"), [7, 7, 7])
    let device = try open()
    try write([1], at: 0, device)
    try device.commit(Commit(size: 2))
    #expect(try Folder.readFile(place, limit: 10) == [1, 0])
  }

  /// Where the file system keeps attributes, an attempt goes on with the very file that the one before left.
  @Test func anUnfinishedFileIsContinuedIfItIsTheSame() throws {
    let partial = folder(".out.drover-partial")
    func open(_ token: [UInt8]?) throws -> any Device {
      var request = request()
      request.checkpoint = token
      return try FileStage.open(request, host: host)
    }
    /// As one that dies: its file loses the lock, and nothing else.
    func attempt(_ bytes: [UInt8]) throws -> [UInt8]? {
      let device = try open(nil)
      #expect(try FileStatus.of(partial)?.size == 0)
      try write(bytes, at: 0, device)
      try device.flush()
      let token = try device.checkpoint(offset: 4096)
      if let token {
        #expect(try String(decoding: token, as: UTF8.self) == device.info().identity)
        #expect(code { _ = try open(token) } == "locked")
      }
      return token
    }
    guard let first = try attempt([1, 2, 3, 4]) else {
      print("skipped: the file system has no attributes")
      return
    }
    // One that was begun anew meanwhile, and one that is gone.
    let second = try #require(try attempt([9, 9, 9, 9]))
    #expect(code { _ = try open(first) } == "not-found")
    try Folder.rename(partial, folder("moved"))
    #expect(code { _ = try open(second) } == "not-found")
    try Folder.rename(folder("moved"), partial)

    let device = try open(second)
    #expect(try device.info().identity == String(decoding: second, as: UTF8.self))
    try write([5], at: 4096, device)
    var bytes = [UInt8](repeating: 7, count: 6)
    #expect(try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 2) } == 6)
    #expect(bytes == [9, 9, 0, 0, 0, 0])
    #expect(try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 1 << 20) } == 6)
    #expect(bytes == [0, 0, 0, 0, 0, 0])
    try device.commit(Commit(size: 4097))
    let content = try Folder.readFile(place, limit: 1 << 20)
    #expect(Array(content.prefix(5)) == [9, 9, 9, 9, 0] && content.count == 4097 && content.last == 5)
    #expect(try OpenFile.open(place, .read).attribute("user.drover.partial") == nil)
  }

  @Test func thePlanTellsWhatItTakes() throws {
    let plan = try #require(
      try FileStage.plan(request(), below: Plan(size: 1 << 30, dataSize: 5 << 20), host: host))
    #expect(plan.space == 5 << 20 && plan.spacePath == folder.path && plan.size == 1 << 30)
    #expect(try FileStage.plan(request(), below: Plan(size: 1 << 30), host: host)?.space == 0)
    #expect(try Folder.list(folder.path) == [])
  }
}
