import CCurl

/// Requests one after the other, over connections that stay open between them. For many small objects, where
/// `Transfer` is for one long body.
///
/// A session may move between threads, but is used by one at a time. A connection that the server has closed meanwhile is
/// opened anew before anything is called a failure.
public final class Session: @unchecked Sendable {
  // Sendable: libcurl lets a handle move between threads; that one at a time uses it is the caller's promise.
  private var easy = EasyHandle()

  public init() {}

  /// Where the body of a 2xx answer goes.
  @safe public enum Destination {
    /// The caller's buffer; a longer body ends the transfer with `bodyTooLong`.
    case buffer(UnsafeMutableRawBufferPointer)
    /// Memory that grows, up to a limit in bytes.
    case memory(limit: Int)
  }

  /// Sends the request and waits for the end of its answer. `request.isCancelled` and a descriptor as body are not for
  /// sessions; `redirects` must be 0.
  /// - Parameter body: Sent in place of the request's own; read until the call returns.
  /// - Parameter seconds: The longest that the call may take; `timedOut` then.
  public func perform(
    _ request: Request, sending body: UnsafeRawBufferPointer? = nil, into destination: Destination,
    within seconds: Double = .infinity
  ) throws(CurlError) -> Answer {
    let intake = Intake(destination, expectsBody: request.method != .head)
    easy.reset()
    try easy.configure(for: request, outbox: nil)
    if let body = unsafe body { try unsafe easy.setBody(lent: body) }
    if seconds.isFinite { try easy.set(CURLOPT_TIMEOUT_MS, Int(max(1, min(seconds, 1_000_000) * 1000))) }
    if let stall = request.stallSeconds {
      try easy.set(CURLOPT_LOW_SPEED_LIMIT, 1)
      try easy.set(CURLOPT_LOW_SPEED_TIME, max(1, Int(stall.rounded(.up))))
    }
    let context = unsafe Unmanaged.passUnretained(intake).toOpaque()
    unsafe try easy.set(CURLOPT_HEADERFUNCTION, takeHeader, context: CURLOPT_HEADERDATA, context)
    unsafe try easy.set(CURLOPT_WRITEFUNCTION, takeBody, context: CURLOPT_WRITEDATA, context)
    let code = withExtendedLifetime(intake) { easy.perform() }
    if let refusal = intake.refusal { throw refusal }
    guard code == CURLE_OK else { throw easy.error(code) }
    return Answer(
      status: intake.status, headers: intake.headers, length: intake.length, body: intake.memory,
      connections: easy.int(CURLINFO_NUM_CONNECTS))
  }

  /// What the server said.
  public struct Answer: Sendable {
    public var status: Int
    /// Names in lower case.
    public var headers: [(name: String, value: String)]
    /// Bytes of the body that went to the destination.
    public var length: Int
    /// The body where it went to memory, and of an answer that is not 2xx its beginning.
    public var body: [UInt8]
    /// How many connections had to be opened for it.
    public var connections: Int

    /// The first header of that name, which is lower case.
    public subscript(name: String) -> String? {
      headers.first { $0.name == name }?.value
    }
  }
}

private func takeHeader(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let context = unsafe context else { return 0 }
  let intake = unsafe Unmanaged<Intake>.fromOpaque(context).takeUnretainedValue()
  return unsafe intake.header(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func takeBody(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let context = unsafe context else { return 0 }
  let intake = unsafe Unmanaged<Intake>.fromOpaque(context).takeUnretainedValue()
  return unsafe intake.body(UnsafeRawBufferPointer(start: bytes, count: size * count))
}
