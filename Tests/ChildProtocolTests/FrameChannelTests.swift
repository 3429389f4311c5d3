import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Testing

struct FrameChannelTests {
  private func pair() throws -> (FrameChannel, FrameChannel) {
    let (one, other) = try SocketPair.make()
    return (FrameChannel(adopting: one), FrameChannel(adopting: other))
  }

  /// Sends raw bytes, closes, and reads from the other end as a channel does.
  private func receive(raw bytes: [UInt8]) throws -> Frame? {
    let (one, other) = try SocketPair.make()
    do {
      let socket = StreamSocket(adopting: one)
      try bytes.withUnsafeBytes { try socket.write($0) }
    }
    return try FrameChannel(adopting: other).receive()
  }

  @Test func aCommandComesBackAsItWasSent() throws {
    let (daemon, worker) = try pair()
    let pipeline = Pipeline(
      from: [.init("download", .source, ["url": "http://localhost/parrot.raw"])],
      to: [.init("clone", .sink, ["name": "parrot", "size": 9_007_199_254_740_993])])
    try daemon.send(
      WorkerCommand.order(
        JobOrder(
          mode: .run, job: "job-1", attempt: 2, pipeline: pipeline, jobFolder: "/state/jobs/job-1",
          pluginFolders: ["/p"],
          concurrency: 4, stallSeconds: 30, hangSeconds: 600,
          checkpoint: Checkpoint(pipelineDigest: "ab", identities: ["e"], offset: 4096, tokens: ["dA=="]))))
    try daemon.send(WorkerCommand.pause)
    guard case .order(let order) = try worker.receive(WorkerCommand.self) else {
      Issue.record("not an order")
      return
    }
    #expect(order.pipeline == pipeline)
    #expect(order.checkpoint?.offset == 4096)
    guard case .pause = try worker.receive(WorkerCommand.self) else {
      Issue.record("not a pause")
      return
    }
  }

  @Test func theWireIsLengthKindPayload() throws {
    let (one, other) = try SocketPair.make()
    let raw = StreamSocket(adopting: other)
    let channel = FrameChannel(adopting: one)
    try channel.send(["a": 1])
    try "key".utf8.withContiguousStorageIfAvailable {
      try channel.send(secret: SecretBytes(copying: UnsafeRawBufferPointer($0)))
    }
    var bytes = [UInt8](repeating: 0, count: 5 + 7 + 5 + 3)
    #expect(try bytes.withUnsafeMutableBytes { try raw.read(into: $0) } == bytes.count)
    #expect(bytes == [7, 0, 0, 0, 1] + Array(#"{"a":1}"#.utf8) + [3, 0, 0, 0, 2] + Array("key".utf8))
  }

  @Test func secretsKeepTheirBytesAndTheirPlace() throws {
    let (daemon, worker) = try pair()
    let key: [UInt8] = [0, 255, 10, 13, 0]
    try daemon.send(secret: key.withUnsafeBytes { SecretBytes(copying: $0) })
    try daemon.send(WorkerCommand.admitted)
    guard case .secret(let secret) = try worker.receive() else {
      Issue.record("not a secret")
      return
    }
    #expect(secret.withBytes { Array($0) } == key)
    guard case .admitted = try worker.receive(WorkerCommand.self) else {
      Issue.record("not the message")
      return
    }
  }

  @Test func theEndBetweenTwoFramesIsNil() throws {
    if try receive(raw: []) != nil { Issue.record("not the end") }
  }

  @Test func aFrameCutOffAnywhereIsAFault() throws {
    let whole: [UInt8] = [4, 0, 0, 0, 1] + Array("null".utf8)
    for count in 1..<whole.count {
      #expect(throws: Fault.self, "cut after \(count) bytes") { try receive(raw: Array(whole[..<count])) }
    }
    guard case .message(let bytes) = try receive(raw: whole) else {
      Issue.record("the whole frame did not come")
      return
    }
    #expect(bytes == Array("null".utf8))
  }

  @Test func aLengthAboveTheLimitIsRefusedBeforeItIsRead() {
    let error = #expect(throws: Fault.self) { try receive(raw: [1, 0, 0, 1, 1]) }
    #expect(error?.code == .internalError)
  }

  @Test func anUnknownKindIsRefused() {
    #expect(throws: Fault.self) { try receive(raw: [0, 0, 0, 0, 3]) }
  }

  @Test func aMessageAboveTheLimitIsNotSent() throws {
    let (daemon, worker) = try pair()
    #expect(throws: Fault.self) { try daemon.send(String(repeating: "x", count: Frame.largestPayload)) }
    try daemon.send(WorkerCommand.cancel)
    guard case .cancel = try worker.receive(WorkerCommand.self) else {
      Issue.record("the channel is out of step")
      return
    }
  }

  @Test func aPeerThatIsGoneIsAFaultNotASignal() throws {
    let (one, other) = try SocketPair.make()
    let channel = FrameChannel(adopting: one)
    close(other)
    let error = #expect(throws: Fault.self) { try channel.send(WorkerCommand.cancel) }
    #expect(error?.retry == .transient)
  }

  @Test func framesOfManyThreadsNeverMix() async throws {
    let (daemon, worker) = try pair()
    let senders = 8
    let each = 50
    for sender in 0..<senders {
      try SystemThread.start("sender") {
        for number in 0..<each {
          let text = String(repeating: "\(sender)", count: 1000 * (number % 7 + 1))
          try? daemon.send(WorkerReport.log(level: .info, message: text))
        }
      }
    }
    var count = 0
    while count < senders * each, case .log(_, let message) = try worker.receive(WorkerReport.self) {
      #expect(Set(message).count == 1)
      count += 1
    }
    #expect(count == senders * each)
  }
}
