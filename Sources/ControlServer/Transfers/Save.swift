import DroverModel
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// One save: what comes out of the transfer's descriptor goes to the client, the next piece only when it took the last.
/// The end of it is held back until the job succeeded, so a client that got every byte got the right ones; where the job
/// fails the connection breaks before the stated length.
struct Save: Sendable {
  private let transfer: any ContentTransfer
  private let descriptor: OwnedDescriptor
  private let size: Int64
  private let call: Call

  /// Throws where the engine did not say the size.
  init(transfer: any ContentTransfer, call: Call) throws {
    self.transfer = transfer
    self.call = call
    descriptor = OwnedDescriptor(transfer.descriptor)
    guard let size = transfer.size else {
      throw Fault(.internalError, "saving \(call["name"]): the job \(transfer.job) has no size")
    }
    self.size = size
  }

  var response: Response {
    let body = ResponseBody(contentLength: Int(size)) { writer in
      // Used by one task at a time: this one waits while the other runs.
      nonisolated(unsafe) var output = writer
      do {
        try await cancelWhenGracefulShutdown { try await copy(to: &output) }
      } catch {
        await giveUp(because: error)
        throw error
      }
      try await output.finish(nil)
    }
    return Response(
      status: .ok,
      headers: [.contentType: "application/octet-stream", .cacheControl: "no-store"], body: body)
  }

  private func copy(to writer: inout any ResponseBodyWriter) async throws {
    try await call.context.beginTransfer(patience: call.limits.contentSeconds)
    let pipe = try await descriptor.handOver { open in
      try await NIOPipeBootstrap(group: call.context.channel.eventLoop).takingOwnershipOfDescriptor(input: open) {
        channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, Never>(wrappingChannelSynchronously: channel)
        }
      }
    }
    guard let pipe else { throw CancellationError() }
    nonisolated(unsafe) var output = writer
    defer { writer = output }
    try await pipe.executeThenClose { inbound in
      var count: Int64 = 0
      var held = ByteBuffer()
      for try await piece in inbound {
        count += Int64(piece.readableBytes)
        guard count <= size else { throw Fault(.internalError, "more than \(size) bytes came") }
        if held.readableBytes > 0 { try await output.write(held) }
        held = piece
      }
      try Task.checkCancellation()
      _ = try await transfer.result()
      guard count == size else { throw Fault(.internalError, "\(count) bytes came instead of \(size)") }
      if held.readableBytes > 0 { try await output.write(held) }
    }
  }

  private func giveUp(because error: any Error) async {
    call.server.logger.info("save ended early", metadata: ["job": "\(transfer.job)", "reason": "\(error)"])
    let transfer = transfer
    await Task { await transfer.abort("the client went away") }.value
  }
}
