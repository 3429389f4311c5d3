import StageKit
import TestKit
import Testing

@testable import DownloadStage

@Suite struct FailureTests {
  let server: TestHTTPServer
  let bytes: [UInt8]

  init() throws {
    server = try TestHTTPServer()
    var noise = Noise(seed: 3)
    bytes = noise.bytes(1 << 20)
  }

  @Test(arguments: [
    (400, "http-status", StageError.Retry.never), (401, "credentials-refused", .never),
    (403, "credentials-refused", .never), (404, "not-found", .never), (407, "credentials-refused", .never),
    (408, "network", .transient), (410, "not-found", .never), (416, "http-status", .never),
    (425, "network", .transient),
    (429, "network", .transient), (451, "http-status", .never), (500, "network", .transient),
    (501, "http-status", .never), (502, "network", .transient), (503, "network", .transient),
    (504, "network", .transient), (204, "http-status", .never), (206, "http-status", .never),
    (304, "http-status", .never),
  ]) func statuses(status: Int, code: String, retry: StageError.Retry) throws {
    server.serve("/image") { _ in ScriptedAnswer(status) }
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == code)
    #expect(error.retry == retry)
    #expect(error.message == "GET \(server.url("/image")) was answered with \(status)")
    #expect(server.requests.count == 1)
  }

  @Test func busyThenWell() throws {
    let bytes = bytes
    server.serve("/image") { request in
      request.number <= 2 ? ScriptedAnswer(503) : ServedFile(bytes).answer(request)
    }
    for _ in 1...2 { #expect(try failure { _ = try open(server.url("/image")) }.retry == .transient) }
    #expect(try readAll(open(server.url("/image"))) == bytes)
  }

  @Test func busyForAsLongAsItSays() throws {
    let bytes = bytes
    server.serve("/image") { request in
      request.number <= 2
        ? ScriptedAnswer(request.number == 1 ? 503 : 429, [("Retry-After", request.number == 1 ? "1" : "0")])
        : ServedFile(bytes).answer(request)
    }
    let host = RecordingHost()
    #expect(try readAll(open(server.url("/image"), host: host)) == bytes)
    #expect(host.phases.contains("waiting as the server asked for"))
    #expect(server.requests.count == 3)
  }

  @Test func busyForEver() throws {
    server.serve("/image") { _ in ScriptedAnswer(503, [("Retry-After", "0")]) }
    #expect(try failure { _ = try open(server.url("/image")) }.code == "network")
    #expect(server.requests.count == 4)
  }

  @Test func busyForTooLong() throws {
    server.serve("/image") { _ in ScriptedAnswer(503, [("Retry-After", "3600")]) }
    #expect(try failure { _ = try open(server.url("/image")) }.retry == .transient)
    #expect(server.requests.count == 1)
  }

  @Test func nobodyListens() throws {
    let gone = try TestHTTPServer()
    let url = gone.url("/image")
    gone.stop()
    // Stopped within a moment; until then the connection may be taken and closed.
    let error = try failure { _ = try open(url) }
    #expect(error.code == "network")
    #expect(error.retry == .transient)
    #expect(error.message.hasPrefix("GET \(url): "))
  }

  @Test func nameThatDoesNotExist() throws {
    let error = try failure { _ = try open("http://name.invalid/image") }
    #expect(error.code == "network")
    #expect(error.retry == .transient)
    #expect(error.message == "GET http://name.invalid/image: Could not resolve host: name.invalid (curl 6)")
  }

  @Test(arguments: [
    "", "image", "//host/image", "http://", "ftp://host/image", "file:///etc/passwd", "http://h:99999/",
  ])
  func addressThatIsNone(url: String) throws {
    let error = try failure { _ = try open(url) }
    #expect(error.code == "invalid")
    #expect(error.retry == .never)
  }

  @Test(arguments: [#"{}"#, #"{"url":7}"#, #"{"url":"http://h/i","ca-file":"relative.pem"}"#])
  func paramsThatAreWrong(params: String) throws {
    var request = try request("")
    request.params = params
    #expect(try failure { _ = try Download.open(request, host: RecordingHost()) }.code == "invalid")
  }

  @Test(arguments: [1, 511, 513, 1_048_577]) func sizeThatIsNoMultipleOf512(size: Int) throws {
    server.serve("/image", ServedFile([UInt8](repeating: 7, count: size)))
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == "bad-size")
    #expect(error.retry == .never)
    #expect(error.message == "\(server.url("/image")) has \(size) bytes, which is not a multiple of 512")
  }

  @Test func redirectLoop() throws {
    server.serve("/image") { _ in ScriptedAnswer(301, [("Location", "/image")]) }
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == "redirect-refused")
    #expect(error.retry == .never)
    #expect(server.requests.count == 11)
  }

  @Test(arguments: ["file:///etc/passwd", "ftp://127.0.0.1/image", "gopher://127.0.0.1/"])
  func redirectToAnotherScheme(location: String) throws {
    server.serve("/image") { _ in ScriptedAnswer(302, [("Location", location)]) }
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == "redirect-refused")
    #expect(error.retry == .never)
  }

  @Test func redirectToNowhere() throws {
    server.serve("/image") { _ in ScriptedAnswer(302) }
    #expect(try failure { _ = try open(server.url("/image")) }.code == "http-status")
  }

  @Test(arguments: ["gzip", "zstd", "br, gzip"]) func encodedContent(encoding: String) throws {
    server.serve("/image") { _ in ScriptedAnswer(200, [("Content-Encoding", encoding)], body: [1, 2, 3]) }
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == "not-supported")
    #expect(error.retry == .never)
  }

  @Test func lengthThatIsTooLong() throws {
    let bytes = bytes
    server.serve("/image") { request in
      var answer = ServedFile(bytes, etag: "\"1\"").answer(request)
      // Also of the rest: the size that is told never comes.
      answer.framing = .falseLength(answer.body.count + 512)
      if answer.status == 206 { answer.status = 416 }
      return answer
    }
    let error = try failure { _ = try readAll(openHasty(server.url("/image"))) }
    #expect(error.code == "network")
    #expect(error.retry == .transient)
  }

  @Test func lengthThatIsTooShort() throws {
    let bytes = bytes
    server.serve("/image") { _ in
      var answer = ScriptedAnswer(200, body: bytes)
      answer.framing = .falseLength(bytes.count - 512)
      return answer
    }
    // By HTTP the content ends where its length says; the checksum has the last word.
    #expect(try readAll(open(server.url("/image"))) == [UInt8](bytes[..<(bytes.count - 512)]))
  }

  @Test(arguments: ["-512", "many"]) func lengthThatIsNone(text: String) throws {
    server.serve("/image") { _ in
      var answer = ScriptedAnswer(200, [("Content-Length", text)], body: [UInt8](repeating: 1, count: 512))
      answer.framing = .untilClose
      return answer
    }
    let error = try failure { _ = try readAll(open(server.url("/image"))) }
    #expect(error.code == "bad-response")
    #expect(error.retry == .never)
  }

  @Test func headThatIsTooLong() throws {
    let headers = (0..<4000).map { ("X-Filler-\($0)", String(repeating: "x", count: 200)) }
    server.serve("/image") { _ in ScriptedAnswer(200, headers) }
    let error = try failure { _ = try open(server.url("/image")) }
    #expect(error.code == "bad-response")
    #expect(error.retry == .never)
  }

  @Test func oneHeaderThatIsTooLong() throws {
    server.serve("/image") { _ in ScriptedAnswer(200, [("X-Filler", String(repeating: "x", count: 4 << 20))]) }
    #expect(throws: StageError.self) { _ = try open(server.url("/image")) }
  }

  @Test(arguments: [0, 1, 500_000]) func stalledBody(after count: Int) throws {
    server.serve("/image") { [bytes] request in
      var answer = ServedFile(bytes).answer(request)
      answer.fault = (count, .stall)
      return answer
    }
    let device = try open(server.url("/image"), stallSeconds: 1)
    let error = try failure { _ = try readAll(device) }
    #expect(error.code == "stalled")
    #expect(error.retry == .transient)
    #expect(error.message == "GET \(server.url("/image")): no byte for 1 s")
  }

  @Test func stalledBeforeTheHead() throws {
    server.serve("/image") { _ in
      var answer = ScriptedAnswer()
      answer.isSilent = true
      return answer
    }
    #expect(try failure { _ = try open(server.url("/image"), stallSeconds: 1) }.code == "stalled")
  }

  @Test func cancelledWhileTheServerIsSilent() throws {
    server.serve("/image") { _ in
      var answer = ScriptedAnswer()
      answer.isSilent = true
      return answer
    }
    let clock = SuspendingClock()
    let time = try clock.measure {
      let error = try failure { _ = try open(server.url("/image"), host: RecordingHost(cancelledAt: 3)) }
      #expect(error.code == "cancelled")
    }
    #expect(time < .seconds(2))
  }

  @Test func cancelledWhileReading() throws {
    server.serve("/image") { [bytes] request in
      var answer = ServedFile(bytes).answer(request)
      answer.drip = (bytes: 1000, milliseconds: 20)
      return answer
    }
    let error = try failure { _ = try readAll(open(server.url("/image"), host: RecordingHost(cancelledAt: 10))) }
    #expect(error.code == "cancelled")
  }

  @Test func cancelledWhileWaitingForABusyServer() throws {
    server.serve("/image") { _ in ScriptedAnswer(503, [("Retry-After", "60")]) }
    let error = try failure { _ = try open(server.url("/image"), host: RecordingHost(cancelledAt: 5)) }
    #expect(error.code == "cancelled")
  }

  /// Nothing that a failure says may hold what stands in the address for the server only.
  @Test func secretsOfTheAddressAreNotRepeated() throws {
    let authority = "user:hidden@127.0.0.1:\(server.port)"
    let hidden = "/image?signature=hidden"
    server.serve("/image") { _ in ScriptedAnswer(404) }
    server.serve("/loop") { _ in ScriptedAnswer(302, [("Location", "http://\(authority)/loop?hidden")]) }
    server.serve("/scheme") { _ in ScriptedAnswer(302, [("Location", "file://hidden/hidden")]) }
    server.serve("/cut") { [bytes] request in
      var answer = ServedFile(bytes, etag: nil, lastModified: nil).answer(request)
      answer.fault = (1000, .reset)
      return answer
    }
    server.serve("/odd") { _ in ScriptedAnswer(200, body: [0]) }
    let urls =
      ["http://\(authority)\(hidden)"] + ["loop", "scheme", "cut", "odd"].map { "http://\(authority)/\($0)?hidden" } + [
        "http://user:hidden@name.invalid/", "http://user:hid den@127.0.0.1/", "ftp://user:hidden@127.0.0.1/",
        "http://user:hidden@127.0.0.1:x/", "https://\(authority)/image",
      ]
    for url in urls {
      let host = RecordingHost()
      let error = try failure { _ = try readAll(open(url, host: host)) }
      #expect(!"\(error.message)\(error.hint)".contains("hid"), "\(error)")
      #expect(!host.lines.joined().contains("hid"))
    }
  }

  @Test func givesUpOnAServerThatBringsNothing() throws {
    server.serve("/image") { [bytes] request in
      var answer = ServedFile(bytes).answer(request)
      answer.fault = (request.number == 1 ? 100_000 : 0, .close)
      return answer
    }
    let error = try failure { _ = try readAll(openHasty(server.url("/image"))) }
    #expect(error.code == "network")
    #expect(error.retry == .transient)
    #expect(server.requests.count == 1 + Recovery.mostFruitless)
  }
}
