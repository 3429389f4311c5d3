import DroverModel
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

/// What the driver makes of servers that fail.
@Suite struct S3FaultTests {
  private static let secret = "very/secret+key"
  private static let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"

  /// A bucket of a scripted server, opened.
  private struct Place {
    var server: TestHTTPServer
    var store: S3Store

    init(_ change: (inout S3Timing) -> Void = { _ in }) throws {
      server = try TestHTTPServer()
      server.serve("/bucket") { _ in ScriptedAnswer(body: Array(S3FaultTests.empty.utf8)) }
      store = try open(server, change)
      server.serve("/bucket/probe") { _ in ScriptedAnswer(200) }
    }

    func read(_ path: String = "x", capacity: Int = 100, deadline: Deadline = .after(seconds: 60)) throws -> String? {
      var bytes = [UInt8](repeating: 0, count: capacity)
      let count = try bytes.withUnsafeMutableBytes { try store.read(path, into: $0, deadline: deadline) }
      return count.map { String(decoding: bytes[..<$0], as: UTF8.self) }
    }

    func write(_ text: String, to path: String = "x", deadline: Deadline = .after(seconds: 60)) throws {
      try Array(text.utf8).withUnsafeBytes { try store.write(path, $0, deadline: deadline) }
    }
  }

  private static func open(
    _ server: TestHTTPServer, _ change: (inout S3Timing) -> Void = { _ in }
  ) throws -> S3Store {
    var timing = S3Timing(stallSeconds: 30)
    timing.firstPause = 0.01
    change(&timing)
    let url = try StoreURL("s3://bucket@here/")
    guard case .bucket(let bucket) = url.place else { throw StoreError(.invalid, "no bucket") }
    let credentials = StoreCredentials([
      "AWS_ACCESS_KEY_ID": "DROVERKEY", "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINTS": server.url(""),
    ])
    return try S3Store(
      url: url.description, settings: S3Settings(bucket, credentials, url: url.description), timing: timing)
  }

  private static func problem(_ status: Int, _ code: String, _ more: String = "") -> ScriptedAnswer {
    ScriptedAnswer(
      status, [("Date", "Mon, 23 Nov 2026 12:00:00 GMT")],
      body: Array(
        "<?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>why \(secret) not</Message>\(more)</Error>".utf8))
  }

  /// Answers of a kind, then a good one: the call ends well.
  @Test(arguments: [500, 502, 503, 504, 429]) func whatPassesIsTriedAgain(_ status: Int) throws {
    let place = try Place()
    place.server.serve("/bucket/x") { request in
      request.number <= 3 ? Self.problem(status, "SlowDown") : ScriptedAnswer(body: Array("done".utf8))
    }
    #expect(try place.read() == "done")
    #expect(place.server.requests(to: "/bucket/x").count == 4)
    place.server.serve("/bucket/y") { request in request.number <= 3 ? Self.problem(status, "") : ScriptedAnswer() }
    try place.write("body", to: "y")
    #expect(place.server.requests(to: "/bucket/y").map(\.body) == Array(repeating: Array("body".utf8), count: 4))
  }

  @Test func whatDoesNotPassEnds() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { _ in Self.problem(503, "SlowDown") }
    let error = try #require(storeError { _ = try place.read() })
    #expect(error.code == .network && error.retry == .transient)
    #expect(error.message == "could not read x in s3://bucket@here/: the server answered 503 (SlowDown: why … not)")
    #expect(place.server.requests(to: "/bucket/x").count == 5)
  }

  @Test(arguments: [0, 1, 5, 9]) func aCutAnswerIsReadAgain(_ after: Int) throws {
    let place = try Place()
    place.server.serve("/bucket/x") { request in
      var answer = ScriptedAnswer(body: Array("ten bytes!".utf8))
      if request.number < 3 { answer.fault = (after: after, request.number == 1 ? .close : .reset) }
      return answer
    }
    #expect(try place.read() == "ten bytes!")
    #expect(place.server.requests(to: "/bucket/x").count == 3)
  }

  @Test func anAnswerThatIsAlwaysCutIsAnError() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { _ in
      var answer = ScriptedAnswer(body: Array("ten bytes!".utf8))
      answer.fault = (after: 5, .close)
      return answer
    }
    #expect(storeError { _ = try place.read() }?.code == .network)
    place.server.serve("/bucket") { _ in
      var answer = ScriptedAnswer(body: Array(Self.empty.utf8))
      answer.fault = (after: 20, .close)
      return answer
    }
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == .network)
  }

  @Test func aSilentServerMeetsTheDeadline() throws {
    let place = try Place()
    for path in ["/bucket/x", "/bucket"] {
      place.server.serve(path) { _ in
        var answer = ScriptedAnswer()
        answer.isSilent = true
        return answer
      }
    }
    let begin = BootClock.seconds()
    #expect(storeError { _ = try place.read(deadline: .after(seconds: 0.3)) }?.code == .timedOut)
    #expect(storeError { try place.write("x", deadline: .after(seconds: 0.3)) }?.code == .timedOut)
    #expect(storeError { _ = try place.store.names(in: "", deadline: .after(seconds: 0.3)) }?.code == .timedOut)
    #expect(storeError { _ = try place.store.status(of: "x", deadline: .after(seconds: 0.3)) }?.code == .timedOut)
    #expect(storeError { try place.store.remove("x", deadline: .after(seconds: 0.3)) }?.code == .timedOut)
    #expect(BootClock.seconds() - begin < 30)
  }

  @Test func aSilentServerIsNotWaitedForWithoutADeadline() throws {
    let place = try Place {
      $0.stallSeconds = 1
      $0.attempts = 2
    }
    place.server.serve("/bucket/x") { _ in
      var answer = ScriptedAnswer(body: Array("ten bytes!".utf8))
      answer.fault = (after: 5, .stall)
      return answer
    }
    #expect(storeError { _ = try place.read(deadline: .never) }?.code == .network)
  }

  @Test func refusalsAreToldApart() throws {
    let cases: [(ScriptedAnswer, StoreError.Code, String)] = [
      (Self.problem(403, "InvalidAccessKeyId"), .credentialsRefused, "refuses the credentials"),
      (Self.problem(403, "SignatureDoesNotMatch"), .credentialsRefused, "refuses the credentials"),
      (Self.problem(403, "AccessDenied"), .notPermitted, "could not list"),
      (ScriptedAnswer(403), .credentialsRefused, "answered 403"),
      (Self.problem(403, "RequestTimeTooSkewed"), .credentialsRefused, "clocks of this host and of"),
      (Self.problem(404, "NoSuchBucket"), .targetUnreachable, "bucket bucket does not exist"),
      (ScriptedAnswer(404), .targetUnreachable, "answered 404"),
      (Self.problem(301, "PermanentRedirect", "<Region>eu-1</Region>"), .targetUnreachable, "is in region eu-1"),
      (Self.problem(400, "AuthorizationHeaderMalformed", "<Region>eu-1</Region>"), .targetUnreachable, "region eu-1"),
      (ScriptedAnswer(302, [("Location", "http://127.0.0.1:1/evil")]), .targetUnreachable, "elsewhere"),
      (Self.problem(400, "InvalidRequest"), .io, "InvalidRequest"),
      (ScriptedAnswer(200, body: Array("<html>hotel network, log in</html>".utf8)), .io, "makes no sense"),
    ]
    for (answer, code, words) in cases {
      let place = try Place()
      place.server.serve("/bucket") { _ in answer }
      let error = try #require(storeError { _ = try Self.open(place.server) }, "\(answer.status)")
      #expect(error.code == code, "\(error)")
      #expect(error.message.contains(words), "\(error)")
      #expect(!"\(error) \(error.hint)".contains(Self.secret))
      // The same in the middle of the work, where nothing may pass for absent.
      #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == code)
      for status in [404, 403] {
        place.server.serve("/bucket/x") { _ in ScriptedAnswer(status) }
        #expect(storeError { _ = try place.store.status(of: "x", deadline: .never) } != nil, "\(error)")
      }
    }
  }

  @Test func fullIsFinal() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { _ in Self.problem(507, "XMinioStorageFull") }
    let error = storeError { try place.write("x") }
    #expect(error?.code == .noSpace && error?.retry == .never)
    #expect(place.server.requests(to: "/bucket/x").count == 1)
  }

  @Test func absenceMustBeCertain() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { _ in Self.problem(404, "NoSuchKey") }
    #expect(try place.read() == nil)
    #expect(try place.store.status(of: "x", deadline: .never) == nil)
    place.server.serve("/bucket/x") { _ in Self.problem(404, "NoSuchBucket") }
    place.server.serve("/bucket") { _ in Self.problem(404, "NoSuchBucket") }
    #expect(storeError { _ = try place.read() }?.code == .targetUnreachable)
    #expect(storeError { _ = try place.store.status(of: "x", deadline: .never) }?.code == .targetUnreachable)
    #expect(storeError { try place.store.remove("x", deadline: .never) }?.code == .targetUnreachable)
    #expect(storeError { try place.write("x") }?.code == .targetUnreachable)
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == .targetUnreachable)
  }

  @Test func nobodyAnswers() throws {
    let place = try Place()
    place.server.stop()
    try #require(awaitRefusal(place.server))
    let opening = try #require(storeError { _ = try Self.open(place.server) })
    #expect(opening.code == .targetUnreachable && opening.retry == .afterFix)
    // One that was there may come back.
    let running = try #require(storeError { _ = try place.read() })
    #expect(running.code == .network && running.retry == .transient)
  }

  private func awaitRefusal(_ server: TestHTTPServer) -> Bool {
    let deadline = BootClock.seconds() + 30
    while BootClock.seconds() < deadline {
      if storeError({ _ = try Self.open(server) }) != nil { return true }
    }
    return false
  }

  @Test func aHugeObjectIsCutOff() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { request in
      var answer = ScriptedAnswer(body: [UInt8](repeating: 1, count: 1000))
      answer.framing = request.number == 1 ? .falseLength(1 << 40) : .chunked
      return answer
    }
    #expect(storeError { _ = try place.read() }?.code == .badBlock)
    #expect(storeError { _ = try place.read() }?.code == .badBlock)
    #expect(place.server.requests(to: "/bucket/x").count == 2)
  }

  @Test func aHostileListingEnds() throws {
    let place = try Place()
    func page(_ body: String) {
      place.server.serve("/bucket") { _ in ScriptedAnswer(body: Array(body.utf8)) }
    }
    page(
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken></ListBucketResult>"
    )
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.message.contains("get on") == true)
    page(
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>b/../../x</Key></Contents></ListBucketResult>")
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.message.contains("elsewhere") == true)
    page("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a/b/c</Key></Contents></ListBucketResult>")
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == .io)
    place.server.serve("/bucket") { _ in ScriptedAnswer(body: [UInt8](repeating: 32, count: S3Listing.longest + 1)) }
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == .io)
  }

  @Test func pagesAreFollowedToTheLast() throws {
    let place = try Place()
    place.server.serve("/bucket") { request in
      let page = (0..<3).first { request.target.contains("continuation-token=t%2B\($0)&") } ?? 0
      let keys = (0..<1000).map { "<Contents><Key>a/\(page * 1000 + $0)</Key></Contents>" }.joined()
      let next =
        page < 2
        ? "<IsTruncated>true</IsTruncated><NextContinuationToken>t+\(page + 1)</NextContinuationToken>"
        : "<IsTruncated>false</IsTruncated>"
      return ScriptedAnswer(body: Array("<ListBucketResult>\(keys)\(next)</ListBucketResult>".utf8))
    }
    #expect(Set(try place.store.names(in: "a", deadline: .never)) == Set((0..<3000).map { "\($0)" }))
    // The second page fails for good: then there is no listing at all.
    place.server.serve("/bucket") { request in
      guard !request.target.contains("continuation-token") else { return ScriptedAnswer(500) }
      let next = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
      return ScriptedAnswer(
        body: Array("<ListBucketResult><Contents><Key>a/1</Key></Contents>\(next)</ListBucketResult>".utf8))
    }
    #expect(storeError { _ = try place.store.names(in: "a", deadline: .never) }?.code == .network)
  }

  @Test func requestsAreSignedPlainAndKnownToEveryServer() throws {
    let place = try Place()
    place.server.serve("/bucket/x") { _ in ScriptedAnswer() }
    try place.write("body")
    let put = try #require(place.server.requests(to: "/bucket/x").first)
    #expect(put.method == "PUT" && put.headers["content-length"] == "4")
    // printf body | sha256sum
    #expect(
      put.headers["x-amz-content-sha256"] == "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5")
    #expect(put.headers["content-type"] == "application/octet-stream")
    for name in ["transfer-encoding", "expect", "x-amz-trailer", "x-amz-checksum-crc32", "content-encoding"] {
      #expect(put.headers[name] == nil, "\(name)")
    }
    for request in place.server.requests {
      #expect(request.headers["authorization"]?.contains(Self.secret) == false)
      #expect(!request.target.contains(Self.secret))
    }
  }

  @Test func theTargetsProxyIsAsked() throws {
    let proxy = try TestHTTPServer()
    proxy.serve("http://store.invalid/bucket") { _ in ScriptedAnswer(body: Array(Self.empty.utf8)) }
    let credentials = StoreCredentials([
      "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINTS": "http://store.invalid",
      "HTTP_PROXY": proxy.url(""),
    ])
    _ = try openStore(StoreURL("s3://bucket@here/"), credentials: credentials)
    #expect(proxy.requests.count == 1)
  }
}

/// The same with a server that is not the tests' own.
@Suite(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"))
struct RcloneS3Tests {
  @Test func wrongCredentialsAndMissingBucketsAreToldApart() throws {
    let server = try #require(RcloneS3.shared)
    let bucket = try StoreURL("s3://\(server.makeBucket())@us-east-1/")
    let wrong = try #require(
      storeError { _ = try openStore(bucket, credentials: server.credentials(["AWS_SECRET_ACCESS_KEY": "wrong"])) })
    #expect(wrong.code == .credentialsRefused, "\(wrong)")
    let unknown = try #require(
      storeError { _ = try openStore(bucket, credentials: server.credentials(["AWS_ACCESS_KEY_ID": "nobody"])) })
    #expect(unknown.code == .credentialsRefused, "\(unknown)")
    let missing = try #require(
      storeError { _ = try openStore(StoreURL("s3://not-there@us-east-1/"), credentials: server.credentials()) })
    #expect(missing.code == .targetUnreachable && missing.message.contains("not-there"), "\(missing)")
  }

  /// Writes go on while the server is killed and comes back, and each one that returned is there.
  @Test func aServerThatRestartsLosesNothing() throws {
    let first = try RcloneS3()
    let store = try openStore(StoreURL("s3://\(first.makeBucket())@us-east-1/"), credentials: first.credentials())
    let done = Mutex<[Int]>([])
    let finished = Atomic(false)
    let writers = Thread {
      for index in 0..<400 where !finished.load(ordering: .relaxed) {
        do {
          try Array("\(index)".utf8).withUnsafeBytes { try store.write("backupstore/\(index)", $0, deadline: .never) }
          done.withLock { $0.append(index) }
        } catch {
          // What took longer than the driver's patience is the job's to repeat.
          if (error as? StoreError)?.retry != .transient { Issue.record(error) }
        }
      }
      finished.store(true, ordering: .relaxed)
    }
    writers.start()
    try until("ten are written", within: 60) { done.withLock { $0.count } >= 10 }
    first.stop()
    let second = try RcloneS3(port: first.port, root: first.root)
    let before = done.withLock { $0.count }
    try until("ten more are written", within: 60) {
      done.withLock { $0.count } >= before + 10 || finished.load(ordering: .relaxed)
    }
    finished.store(true, ordering: .relaxed)
    #expect(done.withLock { $0.count } >= before + 10)
    for index in done.withLock({ $0 }) {
      #expect(try store.status(of: "backupstore/\(index)", deadline: .never)?.size == UInt64("\(index)".utf8.count))
    }
    withExtendedLifetime(second) {}
  }
}
