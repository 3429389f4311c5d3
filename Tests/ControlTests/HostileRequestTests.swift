import ControlServer
import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

/// Requests by somebody who means no good, or knows no HTTP. After each of them the server answers the next client.
@Suite(.timeLimit(.minutes(5))) struct HostileRequestTests {
  /// Only what a test is about is short: on a busy machine anything may take a second.
  private static func limits(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
    var limits = ServerLimits()
    change(&limits)
    return limits
  }

  private func isAlive(_ server: TestServer) async throws {
    #expect(try await server.ask("GET", "/v1/version").status == 200)
  }

  @Test func whatIsNotThereAndWhatIsNotPossible() async throws {
    try await TestServer.run { server in
      for (target, status, code) in [
        ("/", 404, "not-found"), ("/v1", 404, "not-found"), ("/v1/", 404, "not-found"),
        ("//v1/version", 404, "not-found"),
        ("/v1/version/", 404, "not-found"), ("/v1//", 404, "not-found"), ("/v1/backingimages/", 404, "not-found"),
        ("/v1/backingimages/a/b", 404, "not-found"), ("/v1/nothings", 404, "unknown-kind"),
        ("/v1/recurringjobs", 501, "not-supported"), ("/v1/recurringjobs/x", 501, "not-supported"),
        ("/v2/backingimages", 400, "invalid"), ("/v0/version", 400, "invalid"), ("/v11", 400, "invalid"),
        ("/version", 404, "not-found"), ("*", 400, "invalid"),
        ("/v1/version?x=1", 400, "invalid"), ("/v1/events?since=-1", 400, "invalid"),
        ("/v1/events?since=99999999999999999999", 400, "invalid"), ("/v1/events?since=1&since=2", 400, "invalid"),
        ("/v1/events?follow=maybe", 400, "invalid"), ("/v1/backingimages?labels=,", 400, "invalid"),
      ] {
        let answer = try await server.ask("GET", target)
        #expect(answer.status == status && answer.code == code, "\(target): \(answer.status) \(answer.text)")
        #expect(answer.headers["content-type"] == "application/json")
      }
      #expect(try await server.ask("GET", "/v2/x").json?["error"]?["hint"]?.string?.contains("v1") == true)
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func aWrongMethodIs405AndSaysWhichAreRight() async throws {
    try await TestServer.run { server in
      for (method, target, allow) in [
        ("PATCH", "/v1/backingimages/parrot", "DELETE, GET, PUT"), ("POST", "/v1/version", "GET"),
        ("PUT", "/v1/jobs/job-1", "GET"), ("GET", "/v1/jobs/job-1/cancel", "POST"),
        ("DELETE", "/v1/backingimages", "GET, POST"), ("OPTIONS", "/v1/backingimages/parrot/content", "GET, PUT"),
      ] {
        let answer = try await server.ask(method, target)
        #expect(answer.status == 405 && answer.headers["allow"] == allow, "\(method) \(target)")
      }
    }
  }

  @Test func anAnswerToHEADHasNoBody() async throws {
    try await TestServer.run { server in
      try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("HEAD", "/v1/version") + RawClient.request("GET", "/v1/version"))
        let head = try client.head()
        #expect(head.status == 405 && head.headers["content-length"] != "0")
        #expect(try client.reply().status == 200)
      }
    }
  }

  @Test func pathsThatTryToLeaveTheirPlace() async throws {
    try await TestServer.run { server in
      for target in [
        "/v1/backingimages/%2e%2e", "/v1/backingimages/..", "/v1/backingimages/.", "/v1/backingimages/%2e",
        "/v1/backingimages/a%2fb", "/v1/backingimages/a%00b", "/v1/backingimages/a%0ab", "/v1/backingimages/%",
        "/v1/backingimages/%4", "/v1/backingimages/%zz", "/v1/backingimages/%ff", "/v1/backingimages/a%5cb",
        "/v1/../etc/passwd", "/v1/backingimages/%c0%ae%c0%ae", "/v1/plugins/inspect?path=%00",
        "/v1/plugins/inspect?path=%", "/v1/backingimages/parrot#x",
      ] {
        let answer = try await server.ask("GET", target)
        #expect(answer.status == 400 && answer.code == "invalid", "\(target): \(answer.status) \(answer.text)")
      }
      #expect(server.engine.calls.isEmpty)
      // Decoded once only: this is a name of ten characters, which the engine does not know.
      let twice = try await server.ask("GET", "/v1/backingimages/%252e%252e")
      #expect(twice.status == 404)
      #expect(server.engine.calls == ["get backingimage/%2e%2e"])
    }
  }

  @Test func bodiesThatAreNoManifest() async throws {
    try await TestServer.run { server in
      for body in [
        "", "{", "nul", "[]", "\"x\"", "{\"kind\":1}", "{} {}", "\u{0}", "{\"kind\":\"BackingImage\",\"metadata\":[]}",
        #"{"kind":"BackupTarget","metadata":{"name":"parrot"}}"#,
        #"{"kind":"BackingImage","metadata":{"name":"other"}}"#,
        #"{"kind":"BackingImage","metadata":{"name":"parrot"}}trailing"#, String(repeating: "[", count: 100_000),
        String(repeating: "{\"a\":", count: 50_000),
      ] {
        let answer = try await server.ask("PUT", "/v1/backingimages/parrot", body: body)
        #expect(answer.status == 400 && answer.code == "invalid", "\(body.prefix(40)): \(answer.status) \(answer.text)")
      }
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func aBodyOverTheLimitIs413HoweverItComes() async throws {
    try await TestServer.run(limits: Self.limits { $0.lingerSeconds = 1 }) { server in
      let stated = try await server.ask(
        "PUT", "/v1/backingimages/parrot", headers: ["Content-Length": "1099511627776"])
      #expect(stated.status == 413 && stated.headers["connection"] == "close")
      let chunked = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Transfer-Encoding": "chunked"]))
        let chunk = "10000\r\n" + String(repeating: "x", count: 65536) + "\r\n"
        // The server stops reading at some point, so this ends by an error or by the last chunk.
        for _ in 0..<64 { do { try client.send(chunk) } catch { break } }
        return try client.reply()
      }
      #expect(chunked.status == 413 && chunked.code == "invalid")
      #expect(server.engine.calls.isEmpty)
      try await isAlive(server)
    }
  }

  @Test func aClientThatNeverEndsItsHeadIsLetGo() async throws {
    try await TestServer.run(limits: Self.limits { $0.headSeconds = 0.6 }) { server in
      for beginning in ["", "GET", "GET /v1/version HTTP/1.1\r\n", "GET /v1/version HTTP/1.1\r\nHost: x\r\n"] {
        let answer = try await onThread {
          let client = try server.connect()
          try client.send(beginning)
          return try client.untilEnd()
        }
        #expect(answer.isEmpty, "\(beginning)")
      }
      // One byte now and then does not buy more time.
      let dribbled = try await onThread {
        let client = try server.connect()
        var sent = 0
        for byte in RawClient.request("GET", "/v1/version", headers: ["X": String(repeating: "y", count: 500)]).utf8 {
          do { try client.send([byte]) } catch { break }
          sent += 1
          usleep(20_000)
        }
        return sent
      }
      #expect(dribbled < 400)
      try await isAlive(server)
    }
  }

  @Test func aBodyThatDoesNotComeIs408() async throws {
    try await TestServer.run(limits: Self.limits { $0.bodySeconds = 0.6 }) { server in
      let silent = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Content-Length": "100"]) + "{")
        return (try client.reply(), try client.untilEnd())
      }
      #expect(silent.0.status == 408 && silent.0.code == "timed-out")
      #expect(silent.1.isEmpty)
      let dribbled = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Content-Length": "100"]) + "{")
        for _ in 0..<90 {
          do { try client.send(" ") } catch { break }
          usleep(20_000)
        }
        return try client.reply()
      }
      #expect(dribbled.status == 408)
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func halfARequestIsNoRequest() async throws {
    try await TestServer.run { server in
      let half = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Content-Length": "500"])
            + RouteTests.manifest)
        client.endOutput()
        return try client.reply()
      }
      #expect(half.status == 400)
      try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Transfer-Encoding": "chunked"])
            + "70\r\n" + RouteTests.manifest)
      }
      try await onThread {
        let client = try server.connect()
        try client.send("DELETE /v1/backingimages/parrot HT")
        client.endOutput()
        #expect(try client.untilEnd().isEmpty)
      }
      try await isAlive(server)
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func garbageIsAnsweredWith400AndTheEndOfTheConnection() async throws {
    try await TestServer.run(limits: Self.limits { $0.lingerSeconds = 0.5 }) { server in
      var noise = Noise(seed: 7)
      for garbage in [
        Array("\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n".utf8), noise.bytes(4096) + [13, 10, 13, 10], Array("\0\0\0\0".utf8),
        Array("GET / HTTP/9.9\r\n\r\n".utf8), Array("GET /v1/version HTTP/1.1\r\nBad Header: x\r\n\r\n".utf8),
        Array("PUT /v1/backingimages/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n".utf8),
        Array("PUT /v1/backingimages/a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}".utf8),
        Array("PUT /v1/backingimages/a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{}".utf8),
      ] {
        let answer = try await onThread {
          let client = try server.connect()
          try? client.send(garbage)
          let reply = try client.reply()
          #expect(try client.untilEnd().isEmpty)
          return reply
        }
        #expect(answer.status == 400 && answer.code == "invalid", "\(garbage.prefix(20))")
      }
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func aBrokenBodyIs400() async throws {
    try await TestServer.run { server in
      let answer = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot", headers: ["Transfer-Encoding": "chunked"])
            + "zz\r\nnot a chunk\r\n")
        return try client.reply()
      }
      #expect(answer.status == 400)
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test func aHeadWithoutEndOrMeasureIs431() async throws {
    try await TestServer.run(limits: Self.limits { $0.lingerSeconds = 0.5 }) { server in
      let long = String(repeating: "x", count: 4 << 20)
      for head in [
        "GET /" + long, "GET /v1/version HTTP/1.1\r\nX: " + long,
        "GET /v1/version HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 1000) + "\r\n",
        "GET /v1/version HTTP/1.1\r\n" + String(repeating: "A: \(long.prefix(8000))\r\n", count: 100) + "\r\n",
      ] {
        let answer = try await onThread {
          let client = try server.connect()
          // It may well be closed before all of it is sent.
          try? client.send(head)
          return try client.reply()
        }
        #expect(answer.status == 431, "\(head.prefix(30)): \(answer.status)")
        #expect(answer.code == "invalid")
      }
      try await isAlive(server)
    }
  }

  @Test func aHundredConnectionsAtOnceAndOneMore() async throws {
    var limits = ServerLimits()
    limits.connections = 100
    limits.headSeconds = 2
    try await TestServer.run(limits: limits) { server in
      let idle = try await onThread { try (0..<100).map { _ in UncheckedClient(try server.connect()) } }
      try await onThread {
        for held in idle { try held.client.send(RawClient.request("GET", "/v1/version")) }
        for held in idle { #expect(try held.client.reply().status == 200) }
      }
      // The next one waits in the queue until one of the hundred ends, here by the time for an idle connection.
      #expect(try await server.ask("GET", "/v1/version").status == 200)
      _ = idle
    }
  }

  @Test func requestsThatAreSentAtOnceAreAnsweredInOrder() async throws {
    try await TestServer.run { server in
      for name in ["aa", "bb", "cc"] { server.engine.add(.backingImage, name) }
      let names = try await onThread {
        let client = try server.connect()
        let targets = ["aa", "bb", "cc", "zz", "aa"].map { "/v1/backingimages/\($0)" }
        try client.send(targets.map { RawClient.request("GET", $0) }.joined())
        return try targets.map { _ in
          let reply = try client.reply()
          return reply.json?["metadata"]?["name"]?.string ?? reply.code ?? ""
        }
      }
      #expect(names == ["aa", "bb", "cc", "not-found", "aa"])
      // A thousand at once: the answers come, and what was not read yet waits in the kernel.
      let count = try await onThread {
        let client = try server.connect()
        let request = RawClient.request("GET", "/v1/version")
        let sender = UncheckedClient(client)
        try SystemThread.start("sender") {
          for _ in 0..<1000 { try? sender.client.send(request) }
        }
        return try (0..<1000).count { _ in try client.reply().status == 200 }
      }
      #expect(count == 1000)
    }
  }

  @Test func aClientThatDoesNotReadIsLetGo() async throws {
    let engine = FakeEngine()
    for number in 0..<4000 {
      engine.add(.backingImage, "image-\(number)", labels: ["k": String(repeating: "v", count: 200)])
    }
    try await TestServer.run(limits: Self.limits { $0.writeSeconds = 0.6 }, engine: engine) { server in
      let received = try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("GET", "/v1/backingimages"))
        try client.waitForHangUp()
        return try client.untilEnd().count
      }
      #expect(received > 0)
      #expect(received < 1_000_000, "the whole list is longer than what the kernel holds")
      try await isAlive(server)
    }
  }

  @Test func anAnswerBeforeTheBodyIsReadStillArrives() async throws {
    try await TestServer.run(limits: Self.limits { $0.lingerSeconds = 1 }) { server in
      // The client goes on sending what nobody reads, and only then looks for an answer.
      let answer = try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("PUT", "/v1/nothing/x", headers: ["Content-Length": "3000000"]))
        try? client.send([UInt8](repeating: 120, count: 3_000_000))
        return try client.reply()
      }
      #expect(answer.status == 404 && answer.headers["connection"] == "close")
    }
  }
}

/// Used by one thread at a time, or by one that reads and one that writes.
struct UncheckedClient: @unchecked Sendable {
  let client: RawClient
  init(_ client: RawClient) { self.client = client }
}
