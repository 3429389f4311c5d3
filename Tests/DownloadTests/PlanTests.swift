import StageKit
import TestKit
import Testing

@testable import DownloadStage

@Suite struct PlanTests {
  let server: TestHTTPServer
  let bytes = [UInt8](repeating: 1, count: 1 << 20)

  init() throws { server = try TestHTTPServer() }

  private func plan(_ path: String = "/image", stallSeconds: Int = 20) throws -> Plan? {
    try Download.plan(
      request(server.url(path), stallSeconds: stallSeconds), below: nil, host: RecordingHost())
  }

  @Test func byHead() throws {
    server.serve("/image", ServedFile(bytes))
    let plan = try #require(try plan())
    #expect(plan.size == 1 << 20)
    #expect(plan.dataSize == 1 << 20)
    #expect(plan.space == 0)
    #expect(server.requests.map(\.method) == ["HEAD"])
  }

  @Test(arguments: [400, 403, 404, 405, 500, 501, 503]) func headRefused(status: Int) throws {
    server.serve("/image") { [bytes] request in
      request.method == "HEAD" ? ScriptedAnswer(status) : ServedFile(bytes).answer(request)
    }
    #expect(try plan()?.size == 1 << 20)
    #expect(server.requests.map(\.method) == ["HEAD", "GET"])
  }

  @Test(arguments: [0, 100, 513]) func headWithALengthThatCantBe(length: Int) throws {
    server.serve("/image") { [bytes] request in
      var answer = ServedFile(bytes).answer(request)
      if request.method == "HEAD" { answer.framing = .falseLength(length) }
      return answer
    }
    #expect(try plan()?.size == 1 << 20)
  }

  @Test func noLength() throws {
    var file = ServedFile(bytes)
    file.framing = .chunked
    server.serve("/image", file)
    let plan = try #require(try plan())
    #expect(plan.size == nil)
  }

  @Test func badSize() throws {
    server.serve("/image", ServedFile([UInt8](repeating: 1, count: 1000)))
    #expect(try failure { _ = try plan() }.code == "bad-size")
  }

  @Test func missing() throws {
    #expect(try failure { _ = try plan("/missing") }.code == "not-found")
  }

  @Test func slowBeginnerIsLeftToOpening() throws {
    server.serve("/image") { _ in
      var answer = ScriptedAnswer()
      answer.isSilent = true
      return answer
    }
    let plan = try #require(try plan(stallSeconds: 1))
    #expect(plan.size == nil)
  }
}
