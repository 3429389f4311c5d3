import Curl
import Glibc
import LinuxSystem
import OpenSSL
import Synchronization

/// How patient the driver is. Only a test has another.
struct S3Timing: Sendable {
  var connectSeconds = 10.0
  /// Longest silence of a connection.
  var stallSeconds: Double
  /// Longest time of one request, whatever the deadline.
  var requestSeconds = 300.0
  /// How often a request is sent where the failure may pass.
  var attempts = 5
  var firstPause = 0.2
  /// After so long no further attempt is begun.
  var patience = 60.0

  init(stallSeconds: Double = 30) { self.stallSeconds = stallSeconds }
}

/// Signed requests to one bucket, over connections that are kept: as many as there are threads that call at once.
final class S3Client: Sendable {
  let settings: S3Settings
  let url: String
  private let timing: S3Timing
  private let idle = Mutex<[Session]>([])
  private let isOpened = Atomic(false)

  /// One request, complete but for its signature.
  struct Call {
    var method: Request.Method
    var path: String
    var query: [(String, String)] = []
    var body: UnsafeRawBufferPointer?
    /// For an error: "could not … in".
    var what: String
  }

  init(_ settings: S3Settings, url: String, timing: S3Timing) {
    self.settings = settings
    self.url = url
    self.timing = timing
  }

  /// From now on a server that does not answer is expected to come back.
  func confirmOpened() { isOpened.store(true, ordering: .relaxed) }

  /// Sends it, several times where the failure may pass. Answers of 2xx and 404 are the caller's, every other one is an
  /// error.
  func perform(
    _ call: Call, into destination: Session.Destination, deadline: Deadline
  ) throws(StoreError) -> Session.Answer {
    let begin = BootClock.seconds()
    let opened = isOpened.load(ordering: .relaxed)
    // Whoever opens a target waits for the answer; a running job is worth more patience.
    let attempts = opened ? timing.attempts : min(2, timing.attempts)
    var pause = timing.firstPause
    var attempt = 1
    while true {
      let left = deadline.bootSeconds - BootClock.seconds()
      guard left > 0 else { throw timedOut(call) }
      let failure: S3Failure
      do throws(CurlError) {
        let answer = try send(call, into: destination, within: min(left, timing.requestSeconds))
        if (200..<300).contains(answer.status) || answer.status == 404 { return answer }
        failure = S3Failure(answer, doing: call.what, settings, url: url)
      } catch {
        if deadline.isOver { throw timedOut(call) }
        failure = S3Failure(error, doing: call.what, settings, url: url, isOpening: !opened)
      }
      guard failure.isPassing, attempt < attempts, BootClock.seconds() - begin < timing.patience else {
        throw failure.error
      }
      attempt += 1
      // Half of it by chance, so that many threads do not come back at once.
      let wait = min(pause * Double.random(in: 0.5...1), max(0, deadline.bootSeconds - BootClock.seconds()))
      usleep(UInt32(wait * 1e6))
      pause *= 2
    }
  }

  private func send(
    _ call: Call, into destination: Session.Destination, within seconds: Double
  ) throws(CurlError) -> Session.Answer {
    let payload =
      settings.isEncrypted
      ? S3Signature.unsigned : call.body.map { hexadecimal(SHA256.hash($0)) } ?? S3Signature.empty
    let signature = S3Signature(
      time: WallClock.nanoseconds() / 1_000_000_000, method: call.method.rawValue, host: settings.host, path: call.path,
      query: call.query, payload: payload)
    let query = signature.queryText
    var request = Request(call.method, "\(settings.base)\(call.path)\(query.isEmpty ? "" : "?\(query)")")
    request.headers = signature.headers(settings)
    if call.body != nil { request.headers.append((name: "Content-Type", value: "application/octet-stream")) }
    request.certificates = settings.certificates
    request.proxy = settings.proxy
    request.keepsPath = true
    request.connectSeconds = min(timing.connectSeconds, seconds)
    request.stallSeconds = timing.stallSeconds

    let session = idle.withLock { $0.popLast() } ?? Session()
    let answer = try session.perform(request, sending: call.body, into: destination, within: seconds)
    // After an error the session is dropped, its connections with it.
    idle.withLock { $0.append(session) }
    return answer
  }

  private func timedOut(_ call: Call) -> StoreError {
    StoreError(.timedOut, "no time left to \(call.what) in \(url)")
  }
}
