import ControlServer
import DroverModel
import Glibc
import LinuxSystem
import ServiceLifecycle
import Synchronization
import TestKit
import Testing

/// An image's bytes on their way through the daemon.
@Suite(.timeLimit(.minutes(5))) struct ContentTests {
  private static let mebibyte = 1 << 20

  /// Reads a pipe to its end, as a worker does.
  private static func drain(_ descriptor: Int32, onPiece: (Int) -> Void = { _ in }) -> [UInt8] {
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return content }
      content += buffer[..<count]
      onPiece(count)
    }
  }

  private static func withTransfer(
    _ transfer: FakeTransfer, limits: ServerLimits = ServerLimits(),
    _ body: @escaping @Sendable (TestServer) async throws -> Void
  ) async throws {
    let engine = FakeEngine()
    engine.with { $0.transfer = transfer }
    try await TestServer.run(limits: limits, engine: engine, body)
  }

  // MARK: Uploads

  @Test(arguments: ["length", "chunked", "chunked with size", "waits for 100"])
  func anUploadArrivesByteForByte(how: String) async throws {
    var noise = Noise(seed: 3)
    let content = noise.bytes(3 * Self.mebibyte + 17)
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      async let received = onThread {
        let received = Self.drain(transfer.workerEnd)
        close(transfer.workerEnd)
        transfer.succeed()
        return received
      }
      let reply = try await onThread {
        let client = try server.connect()
        let target = "/v1/backingimages/parrot/content" + (how == "chunked with size" ? "?size=\(content.count)" : "")
        if how.hasPrefix("chunked") {
          try client.send(RawClient.request("PUT", target, headers: ["Transfer-Encoding": "chunked"]))
          for start in stride(from: 0, to: content.count, by: 100_000) {
            let piece = content[start..<min(content.count, start + 100_000)]
            try client.send(Array((String(piece.count, radix: 16) + "\r\n").utf8) + piece + [13, 10])
          }
          try client.send("0\r\n\r\n")
        } else {
          var headers = ["Content-Length": "\(content.count)"]
          if how == "waits for 100" { headers["Expect"] = "100-continue" }
          try client.send(RawClient.request("PUT", target, headers: headers))
          if how == "waits for 100" { #expect(try client.reply().status == 100) }
          try client.send(content)
        }
        return try client.reply()
      }
      #expect(reply.status == 200)
      #expect(reply.json?["metadata"]?["name"]?.string == "parrot")
      #expect(try await received == content)
      #expect(!transfer.isAborted)
      #expect(server.engine.calls == ["upload parrot \(how == "chunked" ? "-" : "\(content.count)")"])
    }
  }

  @Test func aClientThatGoesAwayLeavesTheWorkerWithAnEarlyEnd() async throws {
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      async let received = onThread { Self.drain(transfer.workerEnd).count }
      try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request(
            "PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "\(2 * Self.mebibyte)"]))
        try client.send([UInt8](repeating: 7, count: Self.mebibyte))
      }
      #expect(try await received <= Self.mebibyte)
      transfer.finish(.failure(Fault(.uploadInterrupted, "early")))
    }
  }

  @Test func aBodyCutShortIsSaidToTheClientThatStillListens() async throws {
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      async let received = onThread { Self.drain(transfer.workerEnd).count }
      let reply = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "1000"]) + "half")
        client.endOutput()
        return try client.reply()
      }
      #expect(reply.status == 400 && reply.code == "invalid")
      #expect(try await received <= 4)
      transfer.finish(.failure(Fault(.uploadInterrupted, "early")))
    }
  }

  /// The pipe's end must not be taken for the content's where nobody said the size.
  @Test func anUploadOfUnknownSizeIsAbortedBeforeItsPipeIsClosed() async throws {
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: ["Transfer-Encoding": "chunked"])
            + "4\r\nhalf\r\n")
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(read(transfer.workerEnd, &buffer, 100) == 4)
      }
      let abortedAtTheEnd = try await onThread {
        _ = Self.drain(transfer.workerEnd)
        return transfer.isAborted
      }
      #expect(abortedAtTheEnd)
    }
  }

  @Test func aClientThatPausesForTooLongIsGivenUp() async throws {
    var limits = ServerLimits()
    limits.contentSeconds = 0.5
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer, limits: limits) { server in
      async let received = onThread { Self.drain(transfer.workerEnd).count }
      let reply = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "1000"]) + "half")
        return try client.reply()
      }
      #expect(reply.status == 408)
      #expect(try await received == 4)
      transfer.finish(.failure(Fault(.uploadInterrupted, "early")))
    }
  }

  /// 64 MiB into a worker that does not read: the client is held up after what the sockets and the pipe hold.
  @Test func theClientSendsNoFasterThanTheWorkerReads() async throws {
    let size = 64 * Self.mebibyte
    let transfer = try FakeTransfer.upload()
    // Shorter than the wait below: it must not count while it is the daemon that does not read.
    var limits = ServerLimits()
    limits.contentSeconds = 4
    try await Self.withTransfer(transfer, limits: limits) { server in
      let progress = Progress()
      async let received = onThread {
        try until("nothing more can be sent for five seconds") { progress.stalls >= 25 }
        let ahead = progress.sent
        var count = 0
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while case let piece = read(transfer.workerEnd, &buffer, buffer.count), piece > 0 { count += piece }
        close(transfer.workerEnd)
        transfer.succeed()
        return (ahead: ahead, count: count)
      }
      let reply = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "\(size)"]))
        let piece = [UInt8](repeating: 1, count: Self.mebibyte)
        for _ in 0..<64 {
          try client.send(piece, onStall: { progress.stall() }, onProgress: { progress.add($0) })
        }
        return try client.reply()
      }
      #expect(reply.status == 200)
      let (ahead, count) = try await received
      #expect(count == size)
      #expect(progress.stalls > 0)
      #expect(ahead < 4 * Self.mebibyte, "\(ahead) bytes were taken before the worker read one")
    }
  }

  @Test func theJobsOwnErrorIsTheAnswer() async throws {
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      async let worker: Void = onThread {
        var buffer = [UInt8](repeating: 0, count: 65536)
        _ = read(transfer.workerEnd, &buffer, buffer.count)
        close(transfer.workerEnd)
        transfer.finish(.failure(Fault(.noSpace, "the disk is full")))
      }
      let reply = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request(
            "PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "\(32 * Self.mebibyte)"]))
        try? client.send([UInt8](repeating: 1, count: 32 * Self.mebibyte))
        return try client.reply()
      }
      try await worker
      #expect(reply.status == 507 && reply.message == "the disk is full")
    }
  }

  @Test func aJobThatFailsWhileTheClientPausesIsSaidAtOnce() async throws {
    let transfer = try FakeTransfer.upload()
    try await Self.withTransfer(transfer) { server in
      async let received = onThread { Self.drain(transfer.workerEnd).count }
      let reply = try await onThread {
        let client = try server.connect()
        try client.send(
          RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: ["Content-Length": "1000"]) + "half")
        transfer.finish(.failure(Fault(.cancelled, "cancelled by somebody")))
        return try client.reply()
      }
      #expect(reply.status == 409 && reply.code == "cancelled")
      #expect(try await received <= 4)
    }
  }

  @Test func sizesThatDisagreeAreRefused() async throws {
    try await TestServer.run { server in
      let reply = try await server.ask("PUT", "/v1/backingimages/parrot/content?size=5", body: "four")
      #expect(reply.status == 400)
      #expect(server.engine.calls.isEmpty)
    }
  }

  @Test(arguments: [true, false]) func anUploadEndsWithTheServer(isSizeKnown: Bool) async throws {
    let transfer = try FakeTransfer.upload()
    var limits = ServerLimits()
    limits.drainSeconds = 30
    try await Self.withTransfer(transfer, limits: limits) { server in
      let client = UncheckedClient(try server.connect())
      try await onThread {
        let headers = isSizeKnown ? ["Content-Length": "100"] : ["Transfer-Encoding": "chunked"]
        try client.client.send(RawClient.request("PUT", "/v1/backingimages/parrot/content", headers: headers))
        try client.client.send(isSizeKnown ? "half" : "4\r\nhalf\r\n")
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(read(transfer.workerEnd, &buffer, 100) == 4)
      }
      await server.group.triggerGracefulShutdown()
      #expect(try await onThread { Self.drain(transfer.workerEnd).count } == 0)
      let reply = try await onThread { try client.client.reply() }
      #expect(reply.status == 503)
      #expect(String(decoding: reply.body, as: UTF8.self).contains("upload-interrupted"))
    }
  }

  // MARK: Saves

  @Test func aSaveArrivesByteForByte() async throws {
    var noise = Noise(seed: 5)
    let content = noise.bytes(5 * Self.mebibyte + 13)
    let transfer = try FakeTransfer.save(size: Int64(content.count))
    try await Self.withTransfer(transfer) { server in
      async let worker: Void = onThread {
        #expect(Self.fill(transfer.workerEnd, content) == content.count)
        close(transfer.workerEnd)
        transfer.succeed()
      }
      let reply = try await server.ask("GET", "/v1/backingimages/parrot/content", readOnly: true)
      try await worker
      #expect(reply.headers["content-length"] == "\(content.count)")
      #expect(reply.isComplete && reply.body == content)
    }
  }

  @Test(arguments: ["fails at its end", "ends early", "sends too much"])
  func aSaveThatDoesNotSucceedIsNeverWhole(how: String) async throws {
    let transfer = try FakeTransfer.save(size: Int64(Self.mebibyte))
    try await Self.withTransfer(transfer) { server in
      async let worker: Void = onThread {
        let count = how == "ends early" ? 1000 : how == "sends too much" ? Self.mebibyte + 1 : Self.mebibyte
        _ = Self.fill(transfer.workerEnd, [UInt8](repeating: 1, count: count))
        close(transfer.workerEnd)
        if how == "fails at its end" {
          transfer.finish(.failure(Fault(.checksumMismatch, "rotten")))
        } else {
          transfer.succeed()
        }
      }
      let reply = try await server.ask("GET", "/v1/backingimages/parrot/content")
      try await worker
      #expect(!reply.isComplete)
    }
  }

  @Test func theWorkerWritesNoFasterThanTheClientReads() async throws {
    let size = 64 * Self.mebibyte
    let transfer = try FakeTransfer.save(size: Int64(size))
    try await Self.withTransfer(transfer) { server in
      let progress = Progress()
      async let worker: Void = onThread {
        // No more than a pipe takes at once when it says that it takes some.
        let piece = [UInt8](repeating: 1, count: 4096)
        var entry = pollfd(fd: transfer.workerEnd, events: Int16(POLLOUT), revents: 0)
        for _ in 0..<(size / piece.count) {
          while poll(&entry, 1, 200) == 0 { progress.stall() }
          progress.add(Self.fill(transfer.workerEnd, piece))
        }
        close(transfer.workerEnd)
        transfer.succeed()
      }
      let (ahead, count) = try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("GET", "/v1/backingimages/parrot/content"))
        try until("nothing more can be sent") { progress.stalls > 0 }
        let ahead = progress.sent
        _ = try client.head()
        return (ahead, try client.discard(size))
      }
      try await worker
      #expect(count == size)
      #expect(progress.stalls > 0)
      #expect(ahead < 4 * Self.mebibyte)
    }
  }

  @Test func aSaveWhoseClientGoesAwayEndsItsJob() async throws {
    let transfer = try FakeTransfer.save(size: Int64(64 * Self.mebibyte))
    try await Self.withTransfer(transfer) { server in
      async let written = onThread {
        let piece = [UInt8](repeating: 1, count: 65536)
        var total = 0
        while case let count = Self.fill(transfer.workerEnd, piece), count > 0 { total += count }
        return total
      }
      try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("GET", "/v1/backingimages/parrot/content"))
        _ = try client.head()
      }
      #expect(try await written < 64 * Self.mebibyte)
      try await eventually("the job is aborted") { transfer.isAborted }
    }
  }

  /// Writes all of it; less where the reader went away.
  private static func fill(_ descriptor: Int32, _ bytes: [UInt8]) -> Int {
    signal(SIGPIPE, SIG_IGN)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, bytes.count - done) }
      guard count > 0 else { return done }
      done += count
    }
    return done
  }
}

/// How far one side got, seen from the other.
private final class Progress: Sendable {
  private let state = Mutex((sent: 0, stalls: 0))
  var sent: Int { state.withLock { $0.sent } }
  /// Fifths of a second in which it could not send.
  var stalls: Int { state.withLock { $0.stalls } }
  func add(_ count: Int) { state.withLock { $0.sent += count } }
  func stall() { state.withLock { $0.stalls += 1 } }
}
