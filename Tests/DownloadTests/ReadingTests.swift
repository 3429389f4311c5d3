import StageKit
import TestKit
import Testing

@testable import DownloadStage

@Suite struct ReadingTests {
  let server: TestHTTPServer
  let bytes: [UInt8]

  init() throws {
    server = try TestHTTPServer()
    var noise = Noise(seed: 1)
    bytes = noise.bytes(1 << 20)
  }

  @Test(arguments: [512, 4096, 100_000, 1 << 20, 4 << 20]) func wholeFile(block: Int) throws {
    server.serve("/image", ServedFile(bytes))
    let host = RecordingHost()
    let device = try open(server.url("/image"), host: host)
    let info = try device.info()
    #expect(info.size == UInt64(bytes.count))
    #expect(info.flags == [.sequential, .noExtents])
    #expect(info.identity == "\"1\" 1048576 bytes")
    #expect(try readAll(device, block: block) == bytes)
    device.close()
    #expect(
      host.records == ["result": #"{"sourceETag":"\"1\"","sourceLastModified":"Sun, 22 Nov 2026 12:00:00 GMT"}"#])
    #expect(host.phases.first == "connecting")
    #expect(server.requests.count == 1)
    #expect(server.requests[0].headers["accept-encoding"] == "identity")
    #expect(server.requests[0].headers["range"] == nil)
  }

  @Test func withoutLength() throws {
    var file = ServedFile(bytes)
    file.framing = .untilClose
    server.serve("/image", file)
    let device = try open(server.url("/image"))
    #expect(try device.info().size == nil)
    #expect(try readAll(device, block: 1000) == bytes)
    #expect(try readAll(device, from: UInt64(bytes.count)) == [])
  }

  @Test func chunked() throws {
    var file = ServedFile(bytes)
    file.framing = .chunked
    server.serve("/image", file)
    let device = try open(server.url("/image"))
    #expect(try device.info().size == nil)
    #expect(try readAll(device) == bytes)
  }

  @Test func aBlockThatEndsWithAStreamOfUnknownLength() throws {
    var file = ServedFile(bytes)
    file.framing = .chunked
    server.serve("/image", file)
    let device = try open(server.url("/image"))
    // Full blocks to the very end: only the read after the last tells that there is no more.
    #expect(try readAll(device, block: bytes.count / 4) == bytes)
  }

  @Test func slowButSteady() throws {
    let few = [UInt8](bytes[..<2048])
    server.serve("/image") { request in
      var answer = ServedFile(few).answer(request)
      answer.drip = (bytes: 256, milliseconds: 300)
      return answer
    }
    // Takes longer in all than the silence that counts as a stall.
    #expect(try readAll(open(server.url("/image"), stallSeconds: 1)) == few)
  }

  @Test func aBlockThatTakesLongGivesSignsOfLife() throws {
    let few = [UInt8](bytes[..<1024])
    server.serve("/image") { request in
      var answer = ServedFile(few).answer(request)
      answer.drip = (bytes: 128, milliseconds: 400)
      return answer
    }
    let host = RecordingHost()
    let device = try open(server.url("/image"), host: host)
    // The first bytes may be there already when the head is.
    #expect(try readAll(device, block: 1024) == few)
    #expect(host.phases.contains("receiving"))
  }

  @Test func aPauseOfTheReaderIsNoStall() throws {
    server.serve("/image", ServedFile(bytes))
    let device = try open(server.url("/image"), stallSeconds: 1)
    let half = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count / 2, alignment: 16)
    defer { half.deallocate() }
    _ = try device.read(into: half, at: 0)
    // What is waited for is that time passes.
    let clock = SuspendingClock()
    let end = clock.now.advanced(by: .milliseconds(1500))
    while clock.now < end {}
    #expect(try readAll(device, from: UInt64(half.count)) == [UInt8](bytes[half.count...]))
  }

  @Test func addressWithWhiteSpaceAroundIt() throws {
    server.serve("/image", ServedFile(bytes))
    #expect(try readAll(open("  \(server.url("/image"))\n")) == bytes)
  }

  @Test func emptyFile() throws {
    server.serve("/image", ServedFile([]))
    let device = try open(server.url("/image"))
    #expect(try device.info().size == 0)
    #expect(try readAll(device) == [])
  }

  @Test func redirects() throws {
    server.serve("/image", ServedFile(bytes))
    let target = server.url("/image")
    for step in 1...10 {
      server.serve("/\(step)") { _ in ScriptedAnswer(302, [("Location", step == 10 ? target : "/\(step + 1)")]) }
    }
    #expect(try readAll(open(server.url("/1"))) == bytes)
    #expect(server.requests.allSatisfy { $0.headers["referer"] == nil })
  }

  @Test func passwordGoesToItsHostOnly() throws {
    let other = try TestHTTPServer()
    other.serve("/image", ServedFile(bytes))
    let target = other.url("/image")
    server.serve("/private") { _ in ScriptedAnswer(302, [("Location", target)]) }
    let url = "http://user:hidden@127.0.0.1:\(server.port)/private"
    #expect(try readAll(open(url)) == bytes)
    #expect(server.requests[0].headers["authorization"] == "Basic dXNlcjpoaWRkZW4=")
    #expect(other.requests[0].headers["authorization"] == nil)
  }
}
