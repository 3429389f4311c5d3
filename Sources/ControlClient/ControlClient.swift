import ControlAPI
import Curl
import DroverModel
import FoundationEssentials

/// The CLI's way to the daemon: blocking HTTP over its unix socket. Each call opens a connection of its own.
///
/// Paths begin with `/v1/` and are percent-encoded here. Everything throws `Fault`: the daemon's own where it answered
/// with one, `daemon-unreachable` or `not-permitted` where it could not be asked.
public struct ControlClient: Sendable {
  /// Absolute path of the socket.
  public let socket: String
  /// How long an answer that is not a stream may take without a byte; nil: for ever.
  public var patienceSeconds: Double? = 300

  /// Does not connect.
  public init(socket: String) {
    self.socket = socket
  }

  public func get<T: Decodable>(_ path: String, query: [String: String] = [:], as type: T.Type = T.self) throws -> T {
    try decode(send(.get, path, query: query), of: path)
  }

  public func put<T: Decodable>(
    _ path: String, query: [String: String] = [:], body: some Encodable, as type: T.Type = T.self
  ) throws -> T {
    try decode(send(.put, path, query: query, body: encode(body)), of: path)
  }

  public func post<T: Decodable>(
    _ path: String, query: [String: String] = [:], body: some Encodable, as type: T.Type = T.self
  ) throws -> T {
    try decode(send(.post, path, query: query, body: encode(body)), of: path)
  }

  /// A POST without a body: `/v1/jobs/ID/cancel`.
  public func post<T: Decodable>(_ path: String, query: [String: String] = [:], as type: T.Type = T.self) throws -> T {
    try decode(send(.post, path, query: query), of: path)
  }

  /// Nil when the daemon answered without a body.
  public func delete<T: Decodable>(_ path: String, query: [String: String] = [:], as type: T.Type = T.self) throws -> T?
  {
    let body = try send(.delete, path, query: query)
    return body.isEmpty ? nil : try decode(body, of: path)
  }

  /// The body of a successful answer, at most 64 MiB.
  func send(
    _ method: Request.Method, _ path: String, query: [String: String] = [:], body: [UInt8]? = nil
  ) throws -> [UInt8] {
    var request = request(method, path, query)
    request.stallSeconds = patienceSeconds
    if let body {
      request.body = .bytes(body)
      request.headers.append(("Content-Type", "application/json"))
    }
    return try asking(request) { transfer in
      let status = try transfer.head().status
      let body = try transfer.readAll(limit: 64 << 20)
      guard (200..<300).contains(status) else { throw refusal(status, body, request) }
      return body
    }
  }

  private static let origin = "http://drover"

  /// The request for people: `GET /v1/status`.
  func called(_ request: Request) -> String {
    "\(request.method.rawValue) \(request.address.dropFirst(Self.origin.count))"
  }

  func request(_ method: Request.Method, _ path: String, _ query: [String: String]) -> Request {
    var request = Request(method, Self.origin + target(path: path, query: query))
    request.unixSocket = socket
    request.connectSeconds = 10
    request.headers = [("Accept", "application/json")]
    return request
  }

  /// Runs one exchange, and turns what curl says into a `Fault`.
  func asking<Result>(_ request: Request, _ exchange: (Transfer) throws -> Result) throws -> Result {
    do {
      return try exchange(Transfer(request))
    } catch let error as CurlError {
      throw fault(error, request)
    }
  }

  /// What a status outside 200-299 means; `body` is the answer's.
  func refusal(_ status: Int, _ body: [UInt8], _ request: Request) -> Fault {
    if let answer = try? JSONDecoder().decode(ErrorResponse.self, from: Data(body)) { return answer.fault }
    let said = String(decoding: body.prefix(200), as: UTF8.self)
    return Fault(
      .internalError,
      "\(called(request)) was answered with \(status): \(said)",
      hint: "is it a droverd of this version that listens on \(socket)?")
  }

  private func encode(_ body: some Encodable) throws -> [UInt8] {
    [UInt8](try JSONEncoder().encode(body))
  }

  func decode<T: Decodable>(_ body: [UInt8], of path: String) throws -> T {
    do {
      return try JSONDecoder().decode(T.self, from: Data(body))
    } catch {
      throw Fault(
        .internalError, "the daemon's answer to \(path) can't be read: \(error)",
        hint: "`drover version` tells whether the daemon and this program are of the same version")
    }
  }
}
