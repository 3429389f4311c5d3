import Hummingbird
import NIOCore
import ServiceLifecycle

extension Response {
  /// An answer of lines, sent as they come, no faster than the client takes them. A stream that is followed ends when
  /// the client goes away or the daemon is asked to stop; a failure in the middle breaks the connection, so that a short
  /// answer is not taken for a whole one.
  static func lines<Element: Sendable>(
    _ stream: AsyncThrowingStream<Element, any Error>, call: Call, follow: Bool,
    type: String = "application/x-ndjson", line: @escaping @Sendable (Element) -> ByteBuffer
  ) -> Response {
    let body = ResponseBody { writer in
      guard follow else {
        for try await element in stream { try await writer.write(line(element)) }
        return try await writer.finish(nil)
      }
      // The writer is handed to the closure and back: only one of the two uses it at a time.
      nonisolated(unsafe) var output = writer
      do {
        try await call.request.body.consumeWithCancellationOnInboundClose { _ in
          for try await element in stream.cancelOnGracefulShutdown() { try await output.write(line(element)) }
        }
      } catch is CancellationError {
      }
      try await output.finish(nil)
    }
    return Response(status: .ok, headers: [.contentType: type, .cacheControl: "no-store"], body: body)
  }
}
