import CCurl

/// One HTTP request and its response, driven by whoever asks for it: nothing moves, and no thread runs, outside of
/// `head`, `read` and `readAll`. What was not asked for stays in the socket, so a slow reader slows the server down.
///
/// Calls come one at a time, from any thread. Dropping it ends the transfer and closes the connection. After an error
/// every further call throws the same one.
public final class Transfer {
  private let request: Request
  private let inbox: Inbox
  private let outbox: Outbox?
  private let handle: MultiHandle
  private let clock = SuspendingClock()
  private var ending: Ending?

  private enum Ending {
    case complete
    case failed(CurlError)
  }

  /// Checks the options; connects only when something is asked of it.
  public init(_ request: Request) throws(CurlError) {
    let inbox = Inbox(followsRedirects: request.redirects > 0)
    var outbox: Outbox?
    if case .descriptor(let descriptor, let size, let sent) = request.body {
      outbox = Outbox(descriptor: descriptor, size: size, sent: sent)
    }
    var easy = EasyHandle()
    try easy.configure(for: request, inbox: inbox, outbox: outbox)
    self.request = request
    self.inbox = inbox
    self.outbox = outbox
    self.handle = MultiHandle(driving: easy)
  }

  /// Waits for the head of the final response. A status of 400 and above is no error here.
  public func head() throws(CurlError) -> ResponseHead {
    try drive { inbox.headIsComplete }
    return ResponseHead(
      status: handle.easy.int(CURLINFO_RESPONSE_CODE), headers: inbox.headers,
      address: handle.easy.string(CURLINFO_EFFECTIVE_URL) ?? request.address,
      redirectCount: handle.easy.int(CURLINFO_REDIRECT_COUNT))
  }

  /// Puts the next bytes of the body into the buffer.
  /// - Parameter minimum: returns as soon as so many are there; nil fills the buffer.
  /// - Returns: how many were put there: fewer than the minimum only at the end of the body, or right before a failure,
  ///   which the next call throws.
  public func read(into buffer: UnsafeMutableRawBufferPointer, minimum: Int? = nil) throws(CurlError) -> Int {
    let wanted = min(minimum ?? buffer.count, buffer.count)
    unsafe inbox.attach(buffer)
    defer { inbox.detach() }
    do {
      try drive { inbox.filled >= wanted }
    } catch {
      if inbox.filled == 0 { throw error }
    }
    return inbox.filled
  }

  /// The whole rest of the body, which is `bodyTooLong` when it has more bytes than `limit`.
  public func readAll(limit: Int) throws(CurlError) -> [UInt8] {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { unsafe piece.deallocate() }
    var all: [UInt8] = []
    while true {
      let count = try unsafe read(into: piece)
      if count == 0 { return all }
      guard all.count + count <= limit else {
        throw CurlError(.bodyTooLong, "the answer is longer than \(limit) bytes", status: try head().status)
      }
      unsafe all.append(contentsOf: piece[..<count])
    }
  }

  /// Moves bytes until `done`, or until the transfer is complete.
  private func drive(until done: () -> Bool) throws(CurlError) {
    var quietSince = clock.now
    while !done() {
      switch ending {
      case .complete: return
      case .failed(let error): throw error
      case nil: break
      }
      resumeWhatCanGoOn()
      if let result = try handle.perform() {
        ending = result == CURLE_OK ? .complete : .failed(failure(result))
        continue
      }
      if done() { return }
      if request.isCancelled() {
        ending = .failed(CurlError(.cancelled, "cancelled"))
        continue
      }
      let waitsForInput = outbox?.isPaused ?? false
      if takeActivity() || waitsForInput {
        quietSince = clock.now
      } else if let limit = request.stallSeconds, quietSince.duration(to: clock.now) > .seconds(limit) {
        let status = handle.easy.int(CURLINFO_RESPONSE_CODE)
        ending = .failed(
          CurlError(.stalled, "no byte for \(Int(limit.rounded(.up))) s", status: status > 0 ? status : nil))
        continue
      }
      try handle.wait(milliseconds: 200, input: waitsForInput ? outbox?.descriptor : nil)
    }
  }

  private func resumeWhatCanGoOn() {
    let canReceive = inbox.isPaused && inbox.hasRoom
    // An answer that came before the body's end may mean that no more is wanted. libcurl knows, but not while it is paused.
    let canSend = outbox.map { $0.isPaused && (inbox.headIsComplete || $0.isReadable(milliseconds: 0)) } ?? false
    guard canReceive || canSend else { return }
    if canReceive { inbox.isPaused = false }
    if canSend { outbox?.isPaused = false }
    handle.resume()
  }

  private func takeActivity() -> Bool {
    defer {
      inbox.sawActivity = false
      outbox?.sawActivity = false
    }
    return inbox.sawActivity || outbox?.sawActivity ?? false
  }

  private func failure(_ code: CURLcode) -> CurlError {
    if inbox.headIsTooLong {
      return CurlError(.headTooLong, "the head of the answer is longer than \(Inbox.longestHead) bytes")
    }
    return outbox?.failure ?? handle.easy.error(code)
  }
}
