import Engine
import ServiceLifecycle

/// Runs the engine until the graceful shutdown. It stops after the control API, which needs it to the last.
struct EngineService: Service, CustomStringConvertible {
  let engine: Engine
  var description: String { "engine" }

  func run() async throws {
    let engine = engine
    try await withGracefulShutdownHandler {
      try await engine.run()
    } onGracefulShutdown: {
      Task { await engine.shutDown() }
    }
  }
}

/// Says that the daemon begins to stop. Being last in the group it is the first to hear of it.
struct StopNotice: Service, CustomStringConvertible {
  let say: @Sendable () -> Void
  var description: String { "stop notice" }

  func run() async throws {
    try await gracefulShutdown()
    say()
  }
}
