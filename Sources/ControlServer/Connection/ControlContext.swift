import Hummingbird
import Logging
import NIOCore

/// What Hummingbird hands to the responder with each request.
struct ControlContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// Lets the client send the body, or take a stream, and wait at most so long between two pieces of it.
  func beginTransfer(patience seconds: Double) async throws {
    try await channel.triggerUserOutboundEvent(ConnectionGuard.BeginTransfer(patience: .of(seconds)))
  }
}
