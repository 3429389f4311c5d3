import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

/// The program itself, over a socket pair.
@Suite struct WorkerTests {
  private final class Conversation: Sendable {
    let channel: FrameChannel
    let process: ChildProcess

    init(_ program: String) throws {
      let (mine, theirs) = try SocketPair.make()
      channel = FrameChannel(adopting: mine)
      let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
      defer {
        close(theirs)
        close(null)
      }
      process = try ChildProcess.spawn(
        program, arguments: [program], environment: [:], descriptors: [(theirs, 0), (null, 1), (2, 2)])
    }

    /// The next report that is no progress and no log.
    func next() throws -> WorkerReport? {
      while let report = try channel.receive(WorkerReport.self) {
        switch report {
        case .progress, .log: continue
        default: return report
        }
      }
      return nil
    }
  }

  private static func start() throws -> Conversation? {
    guard let program = BuiltProducts.path("drover-worker") else {
      print("skipped: this build has no drover-worker")
      return nil
    }
    let conversation = try Conversation(program)
    guard case .hello(let version, let pid)? = try conversation.next() else {
      Issue.record("the first report must be hello")
      return nil
    }
    #expect(version == DroverVersion.current)
    #expect(pid == conversation.process.pid)
    return conversation
  }

  private static func order(_ folder: TemporaryFolder, _ pipeline: Pipeline, _ mode: JobOrder.Mode = .run) -> JobOrder {
    JobOrder(
      mode: mode, job: "job-00000000000000aa", attempt: 1, pipeline: pipeline, jobFolder: folder("job"),
      pluginFolders: [BuiltProducts.folder], concurrency: 4, stallSeconds: 30, hangSeconds: 600)
  }

  private static func clone(_ folder: TemporaryFolder, checksum: String? = nil) -> Pipeline {
    Pipeline(
      from: [.init("clone", .source, ["path": .string(folder("source.img")), "view": "file"])],
      to: [
        .init(
          "clone", .sink, ["folder": .string(folder("images/copy-0a0b0c0d")), "name": "copy", "uuid": "0a0b0c0d"])
      ], expectedChecksum: checksum)
  }

  private static func makeImage(_ folder: TemporaryFolder) throws -> [UInt8] {
    var noise = Noise(seed: 81)
    let bytes = noise.bytes(5 << 20) + [UInt8](repeating: 0, count: 7 << 20) + noise.bytes(512)
    try Folder.writeDurably(folder("source.img"), bytes)
    try Folder.create(folder("images"), permissions: 0o755)
    return bytes
  }

  private static var hasClone: Bool {
    if BuiltProducts.path("libdrover-stage-clone.so") != nil { return true }
    print("skipped: this build has no clone plugin")
    return false
  }

  /// A compressed qcow2 image is cloned as the disk in it, in one pass.
  @Test func aRealCloneOfAGuestsViewIsRaw() throws {
    guard access("/usr/bin/qemu-img", X_OK) == 0 else { return print("skipped: there is no qemu-img") }
    guard Self.hasClone, let worker = try Self.start() else { return }
    let folder = TemporaryFolder("worker")
    let bytes = try Self.makeImage(folder)
    try Folder.rename(folder("source.img"), folder("disk"))
    let convert = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", folder("disk"), folder("source.img")]
    let qemu = try ChildProcess.spawn(
      "/usr/bin/qemu-img", arguments: convert, environment: [:], descriptors: [(0, 0), (1, 1), (2, 2)])
    #expect(try qemu.wait() == .code(0))
    var pipeline = Self.clone(folder, checksum: sha512(bytes))
    pipeline.from[0].params["view"] = "guest"
    try worker.channel.send(WorkerCommand.order(Self.order(folder, pipeline)))
    guard case .planned(let plan)? = try worker.next() else {
      Issue.record("a plan must come first")
      return
    }
    #expect(plan.size == Int64(bytes.count))
    try worker.channel.send(WorkerCommand.admitted)
    var result: JobResult?
    while let report = try worker.next() {
      switch report {
      case .finished(let finished): result = finished
      case .failed(let fault): Issue.record("\(fault)")
      default: break
      }
    }
    #expect(try worker.process.wait() == .code(0))
    #expect(result?.checksum == sha512(bytes))
    let made = try OpenFile.open(folder("images/copy-0a0b0c0d/backing"), .read)
    #expect(try made.size() == UInt64(bytes.count))
    // Zeros take no room in the new image, but where a block of the copy has data too.
    #expect(try made.status().allocatedBytes < 7 << 20)
  }

  @Test func aRealCloneRunsFromOrderToResult() throws {
    guard Self.hasClone, let worker = try Self.start() else { return }
    let folder = TemporaryFolder("worker")
    let bytes = try Self.makeImage(folder)
    try worker.channel.send(
      WorkerCommand.order(Self.order(folder, Self.clone(folder, checksum: sha512(bytes)))))
    guard case .planned(let plan)? = try worker.next() else {
      Issue.record("a plan must come first")
      return
    }
    #expect(plan.size == Int64(bytes.count))
    #expect(try Folder.listIfPresent(folder("images")) == [])
    try worker.channel.send(WorkerCommand.admitted)
    var records: [String] = []
    var result: JobResult?
    while let report = try worker.next() {
      switch report {
      case .record(_, let kind, _): records.append(kind)
      case .finished(let finished): result = finished
      case .failed(let fault): Issue.record("\(fault)")
      default: break
      }
    }
    #expect(try worker.process.wait() == .code(0))
    #expect(records.contains("result"))
    #expect(result?.checksum == sha512(bytes))
    #expect(result?.size == Int64(bytes.count))
    #expect(result?.values["checksum"]?.string == sha512(bytes))
    let copied = try Folder.readFile(folder("images/copy-0a0b0c0d/backing"), limit: 1 << 26)
    #expect(isSame(copied, bytes))
  }

  @Test func aWrongChecksumEndsTheJobAndLeavesNothing() throws {
    guard Self.hasClone, let worker = try Self.start() else { return }
    let folder = TemporaryFolder("worker")
    _ = try Self.makeImage(folder)
    try worker.channel.send(WorkerCommand.order(Self.order(folder, Self.clone(folder, checksum: sha512([1])))))
    try worker.channel.send(WorkerCommand.admitted)
    var fault: Fault?
    while let report = try worker.next() { if case .failed(let found) = report { fault = found } }
    #expect(fault?.code == .checksumMismatch)
    #expect(fault?.retry == .never)
    #expect(try Folder.list(folder("images")) == [])
    #expect(try worker.process.wait() == .code(0))
  }

  @Test func theEndOfTheChannelEndsTheProcess() throws {
    guard let worker = try Self.start() else { return }
    worker.channel.shutDown()
    #expect(try worker.process.wait() == .code(0))
  }

  @Test func whatAKilledWorkerLeftIsDiscarded() throws {
    guard Self.hasClone, let first = try Self.start() else { return }
    let folder = TemporaryFolder("worker")
    _ = try Self.makeImage(folder)
    let order = Self.order(folder, Self.clone(folder))
    try first.channel.send(WorkerCommand.order(order))
    guard case .planned? = try first.next() else {
      Issue.record("a plan must come first")
      return
    }
    // The job's lock is held while the worker waits.
    let second = try #require(try Self.start())
    try second.channel.send(WorkerCommand.order(order))
    guard case .failed(let locked)? = try second.next() else {
      Issue.record("the second worker must fail")
      return
    }
    #expect(locked.code == .locked)
    #expect(locked.retry == .transient)
    _ = try second.process.wait()
    try first.channel.send(WorkerCommand.admitted)
    first.process.kill(SIGKILL)
    #expect(try first.process.wait() == .signal(SIGKILL))

    let third = try #require(try Self.start())
    try third.channel.send(WorkerCommand.order(Self.order(folder, Self.clone(folder), .discard)))
    guard case .finished? = try third.next() else {
      Issue.record("discard must finish")
      return
    }
    _ = try third.process.wait()
    #expect(try Folder.list(folder("images")).filter { $0.hasSuffix(".partial") } == [])
  }

  @Test func itTellsWhatPluginsAre() throws {
    guard let clone = BuiltProducts.path("libdrover-stage-clone.so"), let worker = try Self.start() else { return }
    try worker.channel.send(WorkerCommand.inspect(paths: [clone, "/absent.so"]))
    guard case .inspected(let reports)? = try worker.next() else {
      Issue.record("reports must come")
      return
    }
    #expect(reports.map(\.path) == [clone, "/absent.so"])
    #expect(reports[0].stages.map(\.name).contains("clone"))
    #expect(reports[1].refused?.code == .notFound)
    #expect(try worker.process.wait() == .code(0))
  }

  @Test func aCancelWhileWaitingForSpaceStops() throws {
    guard Self.hasClone, let worker = try Self.start() else { return }
    let folder = TemporaryFolder("worker")
    _ = try Self.makeImage(folder)
    try worker.channel.send(WorkerCommand.order(Self.order(folder, Self.clone(folder))))
    guard case .planned? = try worker.next() else {
      Issue.record("a plan must come first")
      return
    }
    let start = BootClock.seconds()
    try worker.channel.send(WorkerCommand.cancel)
    guard case .discarded? = try worker.next(), case .stopped? = try worker.next() else {
      Issue.record("it must stop")
      return
    }
    #expect(BootClock.seconds() - start < 1)
    #expect(try worker.process.wait() == .code(0))
  }

  @Test func aForeignFirstCommandIsAnError() throws {
    guard let worker = try Self.start() else { return }
    try worker.channel.send(["foreign": 1])
    guard case .failed(let fault)? = try worker.next() else {
      Issue.record("it must fail")
      return
    }
    #expect(fault.code == .internalError)
    _ = try worker.process.wait()
  }
}
