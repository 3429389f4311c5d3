/// A request as `TestHTTPServer` got it.
public struct ReceivedRequest: Sendable {
  public var method: String
  /// As it stood in the request line: a path with its query, or a whole address when the server is used as a proxy.
  public var target: String
  /// Names in lower case.
  public var headers: [String: String]
  public var body: [UInt8] = []
  /// 1 for the first request to this path.
  public var number: Int

  public var path: String { String(target.prefix { $0 != "?" }) }
}

/// One answer of `TestHTTPServer`, and what goes wrong with it.
public struct ScriptedAnswer: Sendable {
  public var status: Int
  public var headers: [(String, String)]
  public var body: [UInt8]
  public var framing = Framing.length
  /// What happens once so many bytes of the body were sent; the rest is never sent.
  public var fault: (after: Int, Fault)?
  /// Not even a head is sent; the connection stays open.
  public var isSilent = false
  /// Bytes at a time, and the pause after each.
  public var drip: (bytes: Int, milliseconds: Int)?

  public init(_ status: Int = 200, _ headers: [(String, String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  public enum Framing: Sendable {
    /// Content-Length, and it is true.
    case length
    /// Content-Length, and it is a lie.
    case falseLength(Int)
    case chunked
    /// No length: the connection's end is the body's end.
    case untilClose
  }

  public enum Fault: Sendable {
    /// The connection is closed as if all were well.
    case close
    /// The connection is reset.
    case reset
    /// Nothing more comes until the client goes or the server is stopped.
    case stall
  }
}

/// A file as a good web server serves it: GET and HEAD, validators, ranges. Each of these can be taken away.
public struct ServedFile: Sendable {
  public var bytes: [UInt8]
  public var etag: String?
  public var lastModified: String?
  public var date: String? = "Mon, 23 Nov 2026 12:00:00 GMT"
  public var knowsRanges = true
  /// Answer a range although `If-Range` names another version.
  public var ignoresIfRange = false
  public var framing = ScriptedAnswer.Framing.length

  public init(
    _ bytes: [UInt8], etag: String? = "\"1\"", lastModified: String? = "Sun, 22 Nov 2026 12:00:00 GMT"
  ) {
    self.bytes = bytes
    self.etag = etag
    self.lastModified = lastModified
  }

  public func answer(_ request: ReceivedRequest) -> ScriptedAnswer {
    var headers: [(String, String)] = []
    if let etag { headers.append(("ETag", etag)) }
    if let lastModified { headers.append(("Last-Modified", lastModified)) }
    if let date { headers.append(("Date", date)) }
    var answer = ScriptedAnswer(200, headers, body: bytes)
    answer.framing = framing
    let condition = request.headers["if-range"]
    let isSame = condition == nil || ignoresIfRange || condition == etag || condition == lastModified
    guard knowsRanges, isSame, let range = request.headers["range"], range.hasPrefix("bytes="), range.hasSuffix("-"),
      let start = Int(range.dropFirst(6).dropLast())
    else { return answer }
    guard start < bytes.count else {
      return ScriptedAnswer(416, headers + [("Content-Range", "bytes */\(bytes.count)")])
    }
    answer.status = 206
    answer.body = [UInt8](bytes[start...])
    answer.headers.append(("Content-Range", "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"))
    return answer
  }
}
