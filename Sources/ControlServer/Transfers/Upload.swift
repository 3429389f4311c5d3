import DroverModel
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// One upload: the request's body goes into the transfer's descriptor piece by piece, the next one only when the last is
/// in the kernel, until the job is over.
struct Upload: Sendable {
  private let transfer: any ContentTransfer
  private let descriptor: OwnedDescriptor
  /// Of the content, in bytes; nil where only the body's end tells.
  private let size: Int64?
  private let call: Call

  init(transfer: any ContentTransfer, size: Int64?, call: Call) {
    self.transfer = transfer
    descriptor = OwnedDescriptor(transfer.descriptor)
    self.size = size
    self.call = call
  }

  private enum Step: Sendable {
    case copied
    case finished(Resource)
  }

  /// The resource as the job left it. Throws the job's fault where it failed, else why the body ended too soon.
  func run() async throws -> Resource {
    do { return try await copying() } catch is CancellationError where Task.isShuttingDownGracefully {
      throw RequestRefusal(
        .serviceUnavailable,
        Fault(
          .uploadInterrupted, "the transfer was interrupted: \(Self.stopped)", hint: "start it again when it runs again"
        ))
    }
  }

  private static let stopped = "the daemon is being stopped"

  private func copying() async throws -> Resource {
    try await cancelWhenGracefulShutdown {
      try await withThrowingTaskGroup(of: Step.self) { group in
        defer { group.cancelAll() }
        group.addTask { .finished(try await transfer.result()) }
        group.addTask {
          try await copy()
          return .copied
        }
        while let step = try await group.next() {
          if case .finished(let resource) = step { return resource }
        }
        throw CancellationError()
      }
    }
  }

  /// Returns when all is in the pipe and its end is closed, or when the reader went away: then the job's result says
  /// why. Throws where the body ended too soon.
  private func copy() async throws {
    let pipe = try await descriptor.handOver { open in
      try await NIOPipeBootstrap(group: call.context.channel.eventLoop).takingOwnershipOfDescriptor(output: open).get()
    }
    guard let pipe else { return }
    try await withTaskCancellationHandler {
      do {
        try await call.context.beginTransfer(patience: call.limits.contentSeconds)
        var count: Int64 = 0
        for try await piece in call.request.body {
          count += Int64(piece.readableBytes)
          do {
            try await pipe.writeAndFlush(piece).get()
          } catch {
            // This upload was cancelled, which closed the pipe, or the worker is gone.
            try Task.checkCancellation()
            return
          }
        }
        // A cancelled iteration ends like a complete one.
        try Task.checkCancellation()
        if let size, count < size { throw ConnectionFailure.clientWentAway }
      } catch {
        await giveUp(pipe, because: error)
        throw error
      }
    } onCancel: {
      // Wakes a write that waits for the worker.
      Task { await end(pipe) }
    }
    try? await pipe.close().get()
  }

  private func giveUp(_ pipe: any Channel, because error: any Error) async {
    call.server.logger.info(
      "upload ended early", metadata: ["job": "\(transfer.job)", "reason": "\(FaultResponse(error).fault.message)"])
    await Task { await end(pipe) }.value
  }

  /// Closes the pipe before all is in it. The worker takes that for the content's end where it was not told a size, so
  /// such a job is ended first.
  private func end(_ pipe: any Channel) async {
    if size == nil {
      await transfer.abort(Task.isShuttingDownGracefully ? Self.stopped : "the client went away")
      _ = try? await transfer.result()
    }
    try? await pipe.close().get()
  }
}
