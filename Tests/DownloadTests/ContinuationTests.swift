import StageKit
import TestKit
import Testing

@testable import DownloadStage

@Suite struct ContinuationTests {
  let server: TestHTTPServer
  let bytes: [UInt8]
  let changed: [UInt8]

  init() throws {
    server = try TestHTTPServer()
    var noise = Noise(seed: 2)
    bytes = noise.bytes(1 << 20)
    changed = noise.bytes(1 << 20)
  }

  /// The first answer breaks after so many bytes, the others are whole.
  private func serve(_ file: ServedFile, cutAfter count: Int, _ fault: ScriptedAnswer.Fault) {
    server.serve("/image") { request in
      var answer = file.answer(request)
      if request.number == 1 { answer.fault = (count, fault) }
      return answer
    }
  }

  @Test(arguments: [1, 511, 512, 65_535, 65_536, 262_145, 700_001, (1 << 20) - 1], [true, false])
  func cutConnection(after count: Int, reset: Bool) throws {
    serve(ServedFile(bytes), cutAfter: count, reset ? .reset : .close)
    let host = RecordingHost()
    #expect(try readAll(open(server.url("/image"), host: host)) == bytes)
    #expect(server.requests.count == 2)
    // A reset may take bytes with it that were on their way.
    let range = try #require(server.requests[1].headers["range"])
    if reset { #expect(range.hasPrefix("bytes=")) } else { #expect(range == "bytes=\(count)-") }
    #expect(server.requests[1].headers["if-range"] == "\"1\"")
    #expect(host.lines.count == 1)
  }

  @Test func cutBeforeTheFirstByte() throws {
    serve(ServedFile(bytes), cutAfter: 0, .close)
    #expect(try readAll(open(server.url("/image"))) == bytes)
  }

  @Test func cutAgainAndAgain() throws {
    let file = ServedFile(bytes)
    server.serve("/image") { request in
      var answer = file.answer(request)
      answer.fault = (100_000, .close)
      return answer
    }
    #expect(try readAll(open(server.url("/image"))) == bytes)
    #expect(server.requests.count == 11)
  }

  @Test func lastModifiedInPlaceOfAnETag() throws {
    serve(ServedFile(bytes, etag: nil), cutAfter: 300_000, .close)
    #expect(try readAll(open(server.url("/image"))) == bytes)
    #expect(server.requests[1].headers["if-range"] == "Sun, 22 Nov 2026 12:00:00 GMT")
  }

  @Test func aWeakETagIsNoCondition() throws {
    serve(ServedFile(bytes, etag: "W/\"1\""), cutAfter: 300_000, .close)
    #expect(try readAll(open(server.url("/image"))) == bytes)
    #expect(server.requests[1].headers["if-range"] == "Sun, 22 Nov 2026 12:00:00 GMT")
  }

  @Test func serverWithoutRanges() throws {
    var file = ServedFile(bytes)
    file.knowsRanges = false
    serve(file, cutAfter: 700_000, .close)
    let host = RecordingHost()
    #expect(try readAll(open(server.url("/image"), host: host)) == bytes)
    #expect(host.phases.contains("reading again what is there"))
  }

  @Test func chunkedCut() throws {
    var file = ServedFile(bytes)
    file.framing = .chunked
    serve(file, cutAfter: 700_000, .close)
    #expect(try readAll(open(server.url("/image"))) == bytes)
  }

  @Test(arguments: [nil, "Mon, 23 Nov 2026 12:00:00 GMT"]) func nothingToProveTheContentBy(lastModified: String?) throws
  {
    // The date is that of the answer: within that second the content may have changed again.
    serve(ServedFile(bytes, etag: nil, lastModified: lastModified), cutAfter: 700_000, .close)
    let device = try open(server.url("/image"))
    #expect(try device.info().identity == nil)
    #expect(try device.checkpoint(offset: 512) == nil)
    let error = try failure { _ = try readAll(device) }
    #expect(error.code == "network")
    #expect(error.retry == .transient)
    #expect(server.requests.count == 1)
  }

  @Test(arguments: [true, false]) func changedMeanwhile(ignoresIfRange: Bool) throws {
    let (bytes, changed) = (bytes, changed)
    server.serve("/image") { request in
      var file = request.number == 1 ? ServedFile(bytes) : ServedFile(changed, etag: "\"2\"")
      file.ignoresIfRange = ignoresIfRange
      var answer = file.answer(request)
      if request.number == 1 { answer.fault = (500_000, .close) }
      return answer
    }
    let error = try failure { _ = try readAll(open(server.url("/image"))) }
    #expect(error.code == "source-changed")
    #expect(error.retry == .transient)
  }

  @Test(arguments: [400_000, 512]) func shorterMeanwhile(length: Int) throws {
    let bytes = bytes
    server.serve("/image") { request in
      var answer = ServedFile(request.number == 1 ? bytes : [UInt8](bytes[..<length])).answer(request)
      if request.number == 1 { answer.fault = (500_000, .close) }
      return answer
    }
    #expect(try failure { _ = try readAll(open(server.url("/image"))) }.code == "source-changed")
  }

  @Test func nextAttemptAsksForTheRestOnly() throws {
    server.serve("/image", ServedFile(bytes))
    let first = try open(server.url("/image"))
    let token = try #require(try first.checkpoint(offset: 524_288))
    let identity = try first.info().identity
    first.close()
    let second = try open(server.url("/image"), checkpoint: token)
    #expect(try second.info().identity == identity)
    #expect(try second.info().size == 1 << 20)
    #expect(try readAll(second, from: 524_288) == [UInt8](bytes[524_288...]))
    #expect(server.requests.count == 2)
    #expect(server.requests[1].headers["range"] == "bytes=524288-")
  }

  @Test func nextAttemptThatBeginsAnewAllTheSame() throws {
    server.serve("/image", ServedFile(bytes))
    let token = try open(server.url("/image")).checkpoint(offset: 524_288)
    #expect(try readAll(open(server.url("/image"), checkpoint: token)) == bytes)
  }

  @Test(arguments: [0, 4096, 900_000]) func firstReadSomewhereElseThanTheToken(offset: UInt64) throws {
    server.serve("/image", ServedFile(bytes))
    let token = try open(server.url("/image")).checkpoint(offset: 524_288)
    let device = try open(server.url("/image"), checkpoint: token)
    #expect(try readAll(device, from: offset) == [UInt8](bytes[Int(offset)...]))
  }

  @Test func firstReadAtAnOffsetWithoutAToken() throws {
    server.serve("/image", ServedFile(bytes))
    #expect(try readAll(open(server.url("/image")), from: 700_416) == [UInt8](bytes[700_416...]))
    #expect(server.requests[1].headers["range"] == "bytes=700416-")
  }

  @Test func nextAttemptFindsOtherContent() throws {
    server.serve("/image", ServedFile(bytes))
    let first = try open(server.url("/image"))
    let token = try first.checkpoint(offset: 524_288)
    server.serve("/image", ServedFile(changed, etag: "\"2\""))
    let second = try open(server.url("/image"), checkpoint: token)
    #expect(try second.info().identity != first.info().identity)
    #expect(try readAll(second) == changed)
  }

  @Test func nextAttemptFindsAShortFile() throws {
    server.serve("/image", ServedFile(bytes))
    let token = try open(server.url("/image")).checkpoint(offset: 524_288)
    server.serve("/image", ServedFile([UInt8](changed[..<4096]), etag: "\"2\""))
    #expect(try readAll(open(server.url("/image"), checkpoint: token)) == [UInt8](changed[..<4096]))
  }

  @Test func nextAttemptAtAServerThatForgotRanges() throws {
    server.serve("/image", ServedFile(bytes))
    let token = try open(server.url("/image")).checkpoint(offset: 524_288)
    var file = ServedFile(bytes)
    file.knowsRanges = false
    server.serve("/image", file)
    let device = try open(server.url("/image"), checkpoint: token)
    #expect(try readAll(device, from: 524_288) == [UInt8](bytes[524_288...]))
  }

  @Test(arguments: [[], [0xFF, 0xFE], [UInt8]("{}".utf8)])
  func foreignToken(token: [UInt8]) throws {
    server.serve("/image", ServedFile(bytes))
    #expect(try readAll(open(server.url("/image"), checkpoint: token)) == bytes)
  }

  @Test func rangesThatAnswerSomethingElse() throws {
    let bytes = bytes
    let wrong = ["bytes 0-1048575/1048576", "bytes 500001-1048575/1048576", "bytes 500000-1048575/*", "bytes x", ""]
    for (index, range) in wrong.enumerated() {
      server.serve("/\(index)") { request in
        var answer = ServedFile(bytes).answer(request)
        if request.number == 1 { answer.fault = (500_000, .close) }
        if answer.status == 206 { answer.headers = [("Content-Range", range), ("ETag", "\"1\"")] }
        return answer
      }
      #expect(try readAll(open(server.url("/\(index)"))) == bytes, "Content-Range: \(range)")
    }
  }

  @Test func rangesInPiecesAsTheServerLikes() throws {
    let bytes = bytes
    server.serve("/image") { request in
      var answer = ServedFile(bytes).answer(request)
      if request.number == 1 { answer.fault = (100_000, .close) }
      guard answer.status == 206, answer.body.count > 200_000 else { return answer }
      let start = bytes.count - answer.body.count
      answer.body = [UInt8](answer.body[..<200_000])
      answer.headers = [("Content-Range", "bytes \(start)-\(start + 199_999)/\(bytes.count)"), ("ETag", "\"1\"")]
      return answer
    }
    #expect(try readAll(open(server.url("/image"))) == bytes)
  }
}
