import DroverModel
import HTTPTypes
import Engine
import Hummingbird
import Logging
import NIOCore

/// Answers every request on one socket, with a route's answer or with what went wrong.
struct Responder: HTTPResponder {
  typealias Context = ControlContext

  let server: ServerContext
  let table: RouteTable

  func respond(to request: Request, context: ControlContext) async throws -> Response {
    let response: Response
    do {
      response = try await answer(request, context)
    } catch {
      let failure = FaultResponse(error)
      log(failure, request, error)
      response = failure.response
    }
    server.counters.count(status: response.status.code)
    // An answer to HEAD has no body, whatever it says.
    return request.method == .head ? response.createHeadResponse() : response
  }

  private func answer(_ request: Request, _ context: ControlContext) async throws -> Response {
    if server.isReadOnly, request.method != .get {
      throw Fault(
        .notPermitted, "\(request.method.rawValue) is not possible on this socket, which is for reading only",
        hint: "changes go over the other socket, drover.sock")
    }
    let target = try RequestTarget(request.head.path ?? "")
    let (route, parameters) = try table.find(request.method, target)
    let caller = try await Caller.of(context.channel)
    let call = Call(
      request: request, context: context, server: server, caller: caller, parameters: parameters, query: target.query)
    return try await route.answer(call)
  }

  private func log(_ failure: FaultResponse, _ request: Request, _ error: any Error) {
    let metadata: Logger.Metadata = [
      "method": "\(request.method.rawValue)", "path": "\(request.uri.path.clipped)",
      "status": "\(failure.status.code)", "code": "\(failure.fault.code.rawValue)", "error": "\(failure.fault.message)",
    ]
    server.logger.log(
      level: failure.status.code >= 500 && failure.status.code != 501 ? .warning : .debug, "request refused",
      metadata: metadata)
  }
}
