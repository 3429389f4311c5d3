import ControlClient
import DroverModel
import Glibc
import Synchronization
import TestKit
import Testing

private struct Item: Codable, Equatable { var name: String }

@Suite struct ControlClientTests {
  let folder = TemporaryFolder("control")
  let server: TestHTTPServer
  let client: ControlClient

  init() throws {
    server = try TestHTTPServer(unixSocket: folder("sock"))
    client = ControlClient(socket: folder("sock"))
  }

  private func failing(_ body: () throws -> Void) throws -> Fault { try #require(throws: Fault.self, performing: body) }

  @Test func requestsAndAnswers() throws {
    for path in ["/v1/a", "/v1/b", "/v1/c", "/v1/d"] {
      server.serve(path) { request in
        ScriptedAnswer(request.method == "PUT" ? 201 : 200, body: [UInt8](#"{"name":"\#(request.method)"}"#.utf8))
      }
    }
    #expect(try client.get("/v1/a", query: ["since": "5", "labels": "k=v,ü"]) == Item(name: "GET"))
    #expect(try client.put("/v1/b", query: ["dryRun": "1"], body: Item(name: "x")) == Item(name: "PUT"))
    #expect(try client.post("/v1/c") == Item(name: "POST"))
    #expect(try client.delete("/v1/d", query: ["force": "1"]) == Item(name: "DELETE"))
    #expect(
      server.requests.map(\.target) == [
        "/v1/a?labels=k%3Dv%2C%C3%BC&since=5", "/v1/b?dryRun=1", "/v1/c", "/v1/d?force=1",
      ])
    #expect(server.requests[1].body == [UInt8](#"{"name":"x"}"#.utf8))
    #expect(server.requests[1].headers["content-type"] == "application/json")
    #expect(server.requests[2].headers["content-length"] == "0")
    #expect(server.requests.allSatisfy { $0.headers["expect"] == nil })
  }

  @Test func namesAreNoPaths() throws {
    #expect(throws: Fault.self) { _ = try client.get("/v1/backingimages/a?b#c%/../x y", as: Item.self) }
    #expect(server.requests[0].target == "/v1/backingimages/a%3Fb%23c%25/../x%20y")
  }

  @Test func deleteWithoutABody() throws {
    server.serve("/v1/a") { _ in ScriptedAnswer(204) }
    #expect(try client.delete("/v1/a", as: Item.self) == nil)
  }

  @Test func theDaemonsOwnFault() throws {
    server.serve("/v1/a") { _ in
      ScriptedAnswer(
        409,
        body: [UInt8](
          #"{"error":{"code":"in-use","message":"m","hint":"h","retry":"after-fix","exitCode":5}}"#.utf8))
    }
    #expect(
      try failing { _ = try client.get("/v1/a", as: Item.self) }
        == Fault(.inUse, "m", hint: "h", retry: .afterFix))
  }

  @Test(arguments: [500, 502, 404, 301]) func anAnswerThatIsNotTheDaemons(status: Int) throws {
    server.serve("/v1/a") { _ in ScriptedAnswer(status, [("Location", "/v1/b")], body: [UInt8]("<html>".utf8)) }
    let fault = try failing { _ = try client.get("/v1/a", as: Item.self) }
    #expect(fault.code == .internalError)
    #expect(fault.message == "GET /v1/a was answered with \(status): <html>")
  }

  @Test(arguments: ["", "{", #"{"nam":"x"}"#, "[]"]) func bodyThatCantBeRead(body: String) throws {
    server.serve("/v1/a") { _ in ScriptedAnswer(200, body: [UInt8](body.utf8)) }
    #expect(try failing { _ = try client.get("/v1/a", as: Item.self) }.code == .internalError)
  }

  @Test(arguments: [0, 5]) func daemonThatDiesWhileItAnswers(after count: Int) throws {
    server.serve("/v1/a") { _ in
      var answer = ScriptedAnswer(200, body: [UInt8](#"{"name":"x"}"#.utf8))
      answer.fault = (count, .reset)
      return answer
    }
    let fault = try failing { _ = try client.get("/v1/a", as: Item.self) }
    #expect(fault.code == .daemonUnreachable)
  }

  @Test func noSocket() throws {
    let fault = try failing { _ = try ControlClient(socket: folder("none")).get("/v1/a", as: Item.self) }
    #expect(fault.code == .daemonUnreachable)
    #expect(fault.message == "no daemon answers on \(folder("none")): No such file or directory")
    #expect(fault.hint == "start it with `droverd serve`, or name its socket with --socket or DROVER_SOCKET")
    #expect(fault.code.exitCode == 13)
  }

  @Test func socketThatNobodyListensOn() async throws {
    server.stop()
    let refused = try await eventually("the server stops listening") {
      try? failing { _ = try client.get("/v1/a", as: Item.self) }
    }
    #expect(refused.code == .daemonUnreachable || refused.code == .internalError)
    let fault = try await eventually("connections are refused") {
      let fault = try failing { _ = try client.get("/v1/a", as: Item.self) }
      return fault.message.contains("Connection refused") ? fault : nil
    }
    #expect(fault.code == .daemonUnreachable)
  }

  @Test func socketOfAnotherUser() async throws {
    guard getuid() == 0 else {
      print("skipped: only root can give a socket to somebody else")
      return
    }
    await #expect(processExitsWith: .success) {
      let folder = TemporaryFolder("control")
      let server = try TestHTTPServer(unixSocket: folder("sock"))
      chmod(folder("sock"), 0o600)
      chmod(folder.path, 0o755)
      try #require(setuid(65534) == 0)
      let fault = try #require(throws: Fault.self) {
        _ = try ControlClient(socket: folder("sock")).get("/v1/a", as: Item.self)
      }
      #expect(fault.code == .notPermitted)
      #expect(server.requests.isEmpty)
    }
  }

  @Test func pathThatIsTooLongForASocket() throws {
    let path = "/tmp/" + String(repeating: "x", count: 200)
    #expect(
      try failing { _ = try ControlClient(socket: path).get("/v1/a", as: Item.self) }.code == .daemonUnreachable)
  }

  @Test func proxiesAreNotAsked() async {
    await #expect(processExitsWith: .success) {
      setenv("http_proxy", "http://127.0.0.1:1", 1)
      setenv("ALL_PROXY", "http://127.0.0.1:1", 1)
      let folder = TemporaryFolder("control")
      let server = try TestHTTPServer(unixSocket: folder("sock"))
      server.serve("/v1/a") { _ in ScriptedAnswer(200, body: [UInt8](#"{"name":"x"}"#.utf8)) }
      #expect(try ControlClient(socket: folder("sock")).get("/v1/a") == Item(name: "x"))
    }
  }

  @Test func daemonThatDoesNotAnswer() throws {
    server.serve("/v1/a") { _ in
      var answer = ScriptedAnswer()
      answer.isSilent = true
      return answer
    }
    var client = client
    client.patienceSeconds = 1
    #expect(try failing { _ = try client.get("/v1/a", as: Item.self) }.code == .timedOut)
  }
}
