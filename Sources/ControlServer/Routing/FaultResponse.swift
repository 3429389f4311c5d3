import ControlAPI
import DroverModel
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// An error as it goes over the socket: `{"error":{"code","message","hint","retry","exitCode"}}`.
struct FaultResponse {
  let status: HTTPResponse.Status
  let fault: Fault
  var headers: HTTPFields = [:]

  /// With a line end, for people at a terminal.
  var body: ByteBuffer { JSONText.line(ErrorResponse(fault)) }

  var response: Response {
    var headers = headers
    headers[.contentType] = "application/json"
    return Response(status: status, headers: headers, body: .init(byteBuffer: body))
  }

  /// Turns whatever a route threw into an answer.
  init(_ error: any Error) {
    switch error {
    case let refusal as RequestRefusal:
      self.init(status: refusal.status, fault: refusal.fault, headers: refusal.headers)
    case let fault as Fault:
      self.init(status: HTTPResponse.Status(code: fault.httpStatus), fault: fault)
    case ConnectionFailure.tooSlow:
      self.init(
        status: .requestTimeout, fault: Fault(.timedOut, "the request's body did not come in time", retry: .transient))
    case ConnectionFailure.clientWentAway:
      self.init(
        status: .badRequest, fault: Fault(.invalid, "the request ended before its body was complete"))
    case ConnectionFailure.malformed(let why):
      self.init(status: .badRequest, fault: Fault(.invalid, "the request's body is not HTTP/1.1: \(why)"))
    case is CancellationError:
      self.init(
        status: .serviceUnavailable,
        fault: Fault(
          .cancelled, "the daemon is being stopped", hint: "ask again when it runs again", retry: .transient))
    default:
      self.init(status: .internalServerError, fault: Fault(.internalError, "the request failed: \(error)"))
    }
  }

  private init(status: HTTPResponse.Status, fault: Fault, headers: HTTPFields = [:]) {
    self.status = status
    self.fault = fault
    self.headers = headers
  }

  /// For what comes before there is a request to route.
  static func unreadableHead(_ error: any Error) -> FaultResponse {
    let isTooLarge: Bool =
      switch error {
      case is HeadLimiter.HeadTooLarge: true
      case HTTPParserError.headerOverflow: true
      default: false
      }
    return isTooLarge
      ? FaultResponse(
        status: .requestHeaderFieldsTooLarge, fault: Fault(.invalid, "the request's head is larger than is allowed"))
      : FaultResponse(status: .badRequest, fault: Fault(.invalid, "the request is not HTTP/1.1"))
  }
}
