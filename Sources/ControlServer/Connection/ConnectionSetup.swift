import HummingbirdCore
import Logging
import NIOCore
import NIOHTTPTypes

/// Hummingbird's HTTP/1.1 channel between this module's two handlers: one that limits heads before the parser, one that
/// guards the connection after it.
struct ConnectionSetup: HTTPChannelHandler {
  typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  let responder: HTTPChannelHandler.Responder
  let limits: ServerLimits

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    let budget = HeadBudget(limit: limits.headBytes)
    do {
      try channel.pipeline.syncOperations.addHandler(HeadLimiter(budget))
    } catch {
      return channel.eventLoop.makeFailedFuture(error)
    }
    let decoder = HTTP1Channel.Configuration.DecoderConfiguration(
      maxHeaderFieldSize: limits.headerFieldBytes, maxHeaderListSize: limits.headBytes,
      maxHeaderFieldCount: limits.headerFields)
    let bound = NIOLoopBound(budget, eventLoop: channel.eventLoop)
    let limits = limits
    let http = HTTP1Channel(
      responder: responder,
      configuration: .init(
        additionalChannelHandlers: [ConnectionGuard(limits: limits, budget: bound.value)],
        httpDecoderConfiguration: decoder))
    return http.setup(channel: channel, logger: logger)
  }

  func handle(value: Value, logger: Logger) async {
    await handleHTTP(asyncChannel: value, logger: logger)
  }
}
