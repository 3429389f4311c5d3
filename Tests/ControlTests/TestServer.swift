import ControlServer
import LinuxSystem
import Logging
import ServiceLifecycle
import TestKit

/// A control server that runs in a folder of its own.
struct TestServer: Sendable {
  let engine: FakeEngine
  let folder: TemporaryFolder
  let group: ServiceGroup

  var socket: String { folder("drover.sock") }
  var readOnlySocket: String { folder("drover-ro.sock") }

  /// Starts one, hands it to `body`, and stops it gracefully unless `body` did.
  static func run(
    limits: ServerLimits = ServerLimits(), engine: FakeEngine = FakeEngine(), folder: TemporaryFolder? = nil,
    writeGroup: String? = nil, _ body: @escaping @Sendable (TestServer) async throws -> Void
  ) async throws {
    let folder = folder ?? TemporaryFolder("control")
    let ready = OneShot<Bool>()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let server = try ControlServer(
      engine: engine,
      configuration: .init(
        socketPath: folder("drover.sock"), readOnlySocketPath: folder("drover-ro.sock"), writeGroup: writeGroup,
        limits: limits), logger: logger, onReady: { ready.set(true) })
    let group = ServiceGroup(services: [server], logger: logger)
    let test = TestServer(engine: engine, folder: folder, group: group)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      tasks.addTask {
        _ = try await ready.value()
        do {
          try await body(test)
        } catch {
          await group.triggerGracefulShutdown()
          throw error
        }
        await group.triggerGracefulShutdown()
      }
      // Where the server ends first, by an error, the body stops waiting.
      while !tasks.isEmpty {
        do {
          try await tasks.next()
        } catch {
          tasks.cancelAll()
          throw error
        }
      }
    }
  }

  func connect() throws -> RawClient { try RawClient(socket) }

  /// One request on a connection of its own.
  func ask(
    _ method: String, _ target: String, headers: [String: String] = [:], body: String? = nil, readOnly: Bool = false
  ) async throws -> Reply {
    let path = readOnly ? readOnlySocket : socket
    return try await onThread {
      let client = try RawClient(path)
      try client.send(RawClient.request(method, target, headers: headers, body: body))
      return try client.reply()
    }
  }
}

/// Runs blocking code on a thread of its own: the few threads of the cooperative pool are the server's.
func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    do {
      try SystemThread.start("test") { continuation.resume(with: Result { try body() }) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}
