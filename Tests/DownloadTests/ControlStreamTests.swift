import ControlClient
import DroverModel
import Dispatch
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

private struct Line: Codable, Equatable { var seq: Int }

@Suite struct ControlStreamTests {
  let folder = TemporaryFolder("control")
  let server: TestHTTPServer
  let client: ControlClient

  init() throws {
    server = try TestHTTPServer(unixSocket: folder("sock"))
    client = ControlClient(socket: folder("sock"))
  }

  private func failing(_ body: () throws -> Void) throws -> Fault { try #require(throws: Fault.self, performing: body) }

  private func serveLines(_ text: String, step: Int? = nil, thenStall: Bool = false) {
    server.serve("/v1/events") { _ in
      var answer = ScriptedAnswer(200, body: [UInt8](text.utf8))
      answer.framing = .chunked
      answer.drip = step.map { ($0, 1) }
      if thenStall { answer.fault = (answer.body.count, .stall) }
      return answer
    }
  }

  private let three = "{\"seq\":1}\n\n{\"seq\":2}\n{\"seq\":3}\n"

  @Test(arguments: [1, 2, 7, 1000]) func linesHoweverTheyAreCut(step: Int) throws {
    serveLines(three, step: step)
    var seen: [Int] = []
    try client.stream("/v1/events", query: ["follow": "1"]) { (line: Line) in
      seen.append(line.seq)
      return true
    }
    #expect(seen == [1, 2, 3])
  }

  @Test func lastLineWithoutAnEnd() throws {
    serveLines("a\nb")
    var seen: [String] = []
    try client.lines("/v1/events") { line in
      seen.append(String(decoding: line, as: UTF8.self))
      return true
    }
    #expect(seen == ["a", "b"])
  }

  @Test func endsWhenTheReaderHasSeenEnough() throws {
    serveLines(three, thenStall: true)
    var seen: [Int] = []
    try client.stream("/v1/events") { (line: Line) in
      seen.append(line.seq)
      return line.seq < 2
    }
    #expect(seen == [1, 2])
  }

  @Test func linesComeAtOnceAndCancelEndsTheWaiting() throws {
    serveLines(three, thenStall: true)
    var seen: [Int] = []
    let asked = Mutex(0)
    try client.stream(
      "/v1/events",
      isCancelled: {
        asked.withLock {
          $0 += 1
          return $0 > 3
        }
      }
    ) { (line: Line) in
      seen.append(line.seq)
      return true
    }
    #expect(seen == [1, 2, 3])
  }

  @Test func lineThatIsNoJSON() throws {
    serveLines("{\"seq\":1}\nnonsense\n")
    #expect(try failing { try client.stream("/v1/events") { (_: Line) in true } }.code == .internalError)
  }

  @Test func daemonThatDies() throws {
    server.serve("/v1/events") { [three] _ in
      var answer = ScriptedAnswer(200, body: [UInt8](three.utf8))
      answer.framing = .chunked
      answer.fault = (answer.body.count, .close)
      return answer
    }
    var seen = 0
    let fault = try failing {
      try client.stream("/v1/events") { (_: Line) in
        seen += 1
        return true
      }
    }
    #expect(fault.code == .daemonUnreachable)
    #expect(seen == 3)
  }

  @Test func refusal() throws {
    server.serve("/v1/events") { _ in
      ScriptedAnswer(
        400, body: [UInt8](#"{"error":{"code":"invalid","message":"m","hint":"","retry":"never","exitCode":2}}"#.utf8))
    }
    #expect(try failing { try client.lines("/v1/events") { _ in true } } == Fault(.invalid, "m", retry: .never))
  }

  // MARK: uploads

  /// A pipe that a thread of its own fills with the bytes, in pieces.
  private func pipe(of bytes: [UInt8]) throws -> Int32 {
    let (input, output) = try pipe()
    Thread.detachNewThread {
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = rest.prefix(10_000).withUnsafeBytes { write(output, $0.baseAddress, $0.count) }
        if count <= 0 { break }
        rest = rest.dropFirst(count)
      }
      close(output)
    }
    return input
  }

  private func pipe() throws -> (input: Int32, output: Int32) {
    var ends: [Int32] = [0, 0]
    try #require(Glibc.pipe(&ends) == 0)
    // A child of another test must not keep it open.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  @Test(arguments: [true, false]) func upload(sizeIsKnown: Bool) throws {
    var noise = Noise(seed: 5)
    let bytes = noise.bytes(1 << 20)
    server.serve("/v1/content") { request in ScriptedAnswer(200, body: [UInt8](#"{"seq":\#(request.body.count)}"#.utf8))
    }
    let input = try pipe(of: bytes)
    defer { close(input) }
    let sent = Mutex<Int64>(0)
    let answer: Line = try client.upload("/v1/content", from: input, size: sizeIsKnown ? 1 << 20 : nil) { count in
      sent.withLock { $0 = count }
    }
    #expect(answer.seq == 1 << 20)
    #expect(sent.withLock { $0 } == 1 << 20)
    #expect(server.requests[0].method == "PUT")
    #expect(server.requests[0].body == bytes)
    #expect(server.requests[0].headers["content-length"] == (sizeIsKnown ? "1048576" : nil))
  }

  @Test func uploadThatEndsEarly() throws {
    server.serve("/v1/content") { _ in ScriptedAnswer(200, body: [UInt8](#"{"seq":0}"#.utf8)) }
    let input = try pipe(of: [UInt8](repeating: 1, count: 1000))
    defer { close(input) }
    let fault = try failing { _ = try client.upload("/v1/content", from: input, size: 2000, as: Line.self) { _ in } }
    #expect(fault.code == .io)
    #expect(fault.message == "reading what is to be sent: the input ended after 1000 of 2000 bytes")
  }

  @Test func uploadRefusedBeforeItsEnd() throws {
    server.serve("/v1/content", readsBody: false) { _ in
      ScriptedAnswer(
        404, body: [UInt8](#"{"error":{"code":"not-found","message":"m","hint":"","retry":"never","exitCode":4}}"#.utf8)
      )
    }
    // The other end stays open and silent: only the daemon's answer can end this.
    let (input, output) = try pipe()
    defer { for end in [input, output] { close(end) } }
    let fault = try failing { _ = try client.upload("/v1/content", from: input, size: nil, as: Line.self) { _ in } }
    #expect(fault.code == .notFound)
  }

  @Test func uploadRefusedWhileItsSourceIsSilent() throws {
    let begun = DispatchSemaphore(value: 0)
    server.serve("/v1/content", readsBody: false) { _ in
      begun.wait()
      return ScriptedAnswer(409)
    }
    let (input, output) = try pipe()
    defer { for end in [input, output] { close(end) } }
    _ = write(output, "begun", 5)
    // By the time the answer comes, the client waits for more.
    let fault = try failing {
      _ = try client.upload("/v1/content", from: input, size: nil, as: Line.self) { _ in begun.signal() }
    }
    #expect(fault.message == "PUT /v1/content was answered with 409: ")
  }

  // MARK: downloads

  @Test(arguments: [true, false]) func download(sizeIsKnown: Bool) throws {
    var noise = Noise(seed: 6)
    let bytes = noise.bytes(3 << 20)
    server.serve("/v1/content") { _ in
      var answer = ScriptedAnswer(200, body: bytes)
      if !sizeIsKnown { answer.framing = .chunked }
      return answer
    }
    let output = Glibc.open(folder("out"), O_RDWR | O_CREAT, 0o600)
    defer { close(output) }
    var steps: [(Int64, Int64?)] = []
    #expect(try client.download("/v1/content", to: output) { steps.append(($0, $1)) } == 3 << 20)
    #expect(steps.last?.0 == 3 << 20)
    #expect(steps.allSatisfy { $0.1 == (sizeIsKnown ? 3 << 20 : nil) })
    var written = [UInt8](repeating: 0, count: bytes.count + 1)
    #expect(pread(output, &written, written.count, 0) == bytes.count)
    #expect([UInt8](written.dropLast()) == bytes)
  }

  @Test func downloadThatBreaks() throws {
    server.serve("/v1/content") { _ in
      var answer = ScriptedAnswer(200, body: [UInt8](repeating: 1, count: 1 << 20))
      answer.fault = (1000, .close)
      return answer
    }
    let output = Glibc.open("/dev/null", O_WRONLY)
    defer { close(output) }
    #expect(try failing { _ = try client.download("/v1/content", to: output) { _, _ in } }.code == .daemonUnreachable)
  }

  @Test func downloadToAFullDisk() throws {
    server.serve("/v1/content") { _ in ScriptedAnswer(200, body: [1, 2, 3]) }
    let output = Glibc.open("/dev/full", O_WRONLY)
    defer { close(output) }
    #expect(try failing { _ = try client.download("/v1/content", to: output) { _, _ in } }.code == .noSpace)
  }
}
