import ChildProtocol
import DroverModel
import LinuxSystem
import TestKit
import Testing

/// What an export may answer, or not answer.
@Suite struct ExportClientTests {
  let folder = TemporaryFolder("client")

  /// The error of `info` where the other side does this with the line that it got.
  private func error(
    patience: Double = 60, _ answer: @escaping @Sendable (StreamSocket) -> Void
  ) throws -> Fault? {
    let path = folder("control-\(UInt32.random(in: 0 ... .max))")
    let listener = try ListeningSocket.bind(path, permissions: 0o600)
    let isOver = Monitor(false)
    try SystemThread.start("server") {
      if let client = try? listener.accept(waiting: 60) {
        let stream = StreamSocket(adopting: client)
        var rest: [UInt8] = []
        _ = try? stream.readLine(limit: 1000, within: 60, rest: &rest)
        answer(stream)
        _ = isOver.wait(atMost: 60) { $0 ? true : nil }
      }
    }
    defer { isOver.change { $0 = true } }
    do { _ = try ExportClient(path, patience: patience).info() } catch { return error as? Fault }
    return nil
  }

  private static func say(_ text: String) -> @Sendable (StreamSocket) -> Void {
    { stream in try? Array(text.utf8).withUnsafeBytes { try stream.write($0) } }
  }

  @Test func nobodyIsThere() throws {
    #expect(throws: Fault(.notFound, "no export listens at \(folder("none"))")) {
      try ExportClient(folder("none")).info()
    }
    // One that was killed has left its socket.
    do { _ = try ListeningSocket.bind(folder("stale"), permissions: 0o600) }
    #expect(throws: Fault(.notFound, "no export listens at \(folder("stale"))")) {
      try ExportClient(folder("stale")).detach()
    }
    #expect(throws: Fault.self) { try ExportClient("/" + String(repeating: "x", count: 200)).info() }
  }

  @Test func anAnswer() throws {
    let info = ##"{"ok":true,"name":"a","volume":"b","version":"9","pid":1,"readOnly":true,"size":5,"clients":2,"##
    #expect(try error(Self.say(info + ##""phase":"serving","newer":[1]}"## + "\n")) == nil)
  }

  @Test func noneInTime() throws {
    let fault = try error(patience: 0.2) { _ in }
    #expect(fault?.code == .timedOut && fault?.retry == .transient)
    #expect(try error(patience: 0.2, Self.say("{")).map(\.code) == .timedOut)
  }

  @Test(arguments: ["[]\n", "x\n", "\n", "{\"ok\":true}\n", "{\"error\":5}\n"]) func nonsense(_ text: String) throws {
    #expect(try error(Self.say(text))?.code == .internalError)
  }

  @Test func itEnds() throws {
    #expect(try error { $0.shutDown() }?.code == .io)
    #expect(
      try error { stream in
        Self.say("{\"ok\"")(stream)
        stream.shutDown()
      }?.code == .io)
  }

  @Test func aRefusal() throws {
    let fault = try error(
      Self.say(##"{"error":{"code":"in-use","message":"m","hint":"h","retry":"after-fix"}}"## + "\n"))
    #expect(fault == Fault(.inUse, "m", hint: "h", retry: .afterFix))
  }
}
