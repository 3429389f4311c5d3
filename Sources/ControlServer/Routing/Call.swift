import DroverModel
import Engine
import FoundationEssentials
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// One request on its way to a route's answer.
struct Call: Sendable {
  let request: Request
  let context: ControlContext
  let server: ServerContext
  let caller: Caller
  let parameters: [String: String]
  let query: [String: [String]]

  var engine: any ControlledEngine { server.engine }
  var limits: ServerLimits { server.limits }

  /// Of the template; asking for one that it does not have is an error of this program.
  subscript(_ parameter: String) -> String { parameters[parameter]! }

  // MARK: Query

  /// Nil where it is absent; given twice is refused.
  func value(_ name: String) throws -> String? {
    guard let values = query[name] else { return nil }
    guard values.count == 1 else { throw Fault(.invalid, "the query parameter \(name) is given \(values.count) times") }
    return values[0]
  }

  /// `1` and `true`, or no value at all, are true.
  func flag(_ name: String) throws -> Bool {
    switch try value(name) {
    case nil, "0", "false": false
    case "", "1", "true": true
    case .some(let other): throw Fault(.invalid, "the query parameter \(name) is \(other.clipped), not 1 or 0")
    }
  }

  func number(_ name: String) throws -> Int64? {
    guard let text = try value(name) else { return nil }
    guard let number = Int64(text), number >= 0 else {
      throw Fault(.invalid, "the query parameter \(name) is \(text.clipped), not a whole number from 0 up")
    }
    return number
  }

  // MARK: Body

  /// The body, which must be one JSON value within the limits of size and time.
  func json() async throws -> JSONValue {
    if let length = request.contentLength, length > limits.bodyBytes { throw tooLarge }
    try await context.beginTransfer(patience: limits.bodySeconds)
    let buffer: ByteBuffer
    do {
      buffer = try await withDeadline(seconds: limits.bodySeconds) { [request, limits] in
        try await request.body.collect(upTo: limits.bodyBytes)
      }
    } catch is NIOTooManyBytesError {
      throw tooLarge
    }
    guard buffer.readableBytes > 0 else { throw Fault(.invalid, "the request has no body; one JSON value is needed") }
    do {
      return try JSONDecoder().decode(JSONValue.self, from: Data(buffer.readableBytesView))
    } catch {
      throw Fault(.invalid, "the request's body is not JSON")
    }
  }

  private var tooLarge: RequestRefusal {
    RequestRefusal(
      .contentTooLarge,
      Fault(.invalid, "the request's body is longer than \(limits.bodyBytes) bytes, which is the limit for JSON"))
  }
}

extension Request {
  var contentLength: Int64? { headers[.contentLength].flatMap { Int64($0) } }
}

/// Runs `body`; where that takes longer, cancels it and throws `ConnectionFailure.tooSlow`.
func withDeadline<Value: Sendable>(
  seconds: Double, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    defer { group.cancelAll() }
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: .seconds(seconds))
      throw ConnectionFailure.tooSlow
    }
    return try await group.next()!
  }
}
