import DroverModel
import Logging

/// What is the same for every request on one socket.
struct ServerContext: Sendable {
  let engine: any ControlledEngine
  let limits: ServerLimits
  /// Effective values, for `/v1/status`.
  let configuration: [String: JSONValue]
  let isReadOnly: Bool
  let counters: RequestCounters
  let logger: Logger
}
