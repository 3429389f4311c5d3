public import DroverModel
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization

/// The control API on its two unix sockets.
///
/// Creating it locks both paths and fails with `conflict` where somebody serves there already. `run` binds them, answers
/// until the graceful shutdown, then lets answers under way end (streams that are followed end at once), and removes the
/// sockets. Create it only when the engine holds the state folder.
public struct ControlServer: Service, CustomStringConvertible {
  public struct Configuration: Sendable {
    /// `drover.sock`.
    public var socketPath: String
    /// `drover-ro.sock`.
    public var readOnlySocketPath: String
    /// Names or numbers of groups; nil leaves the sockets to the daemon's own group.
    public var writeGroup: String?
    public var readGroup: String?
    public var limits: ServerLimits
    /// The daemon's effective configuration, as `/v1/status` shows it; without secrets.
    public var effective: [String: JSONValue]

    public init(
      socketPath: String, readOnlySocketPath: String, writeGroup: String? = nil, readGroup: String? = nil,
      limits: ServerLimits = ServerLimits(), effective: [String: JSONValue] = [:]
    ) {
      self.socketPath = socketPath
      self.readOnlySocketPath = readOnlySocketPath
      self.writeGroup = writeGroup
      self.readGroup = readGroup
      self.limits = limits
      self.effective = effective
    }
  }

  public var description: String { "control API" }

  private let engine: any ControlledEngine
  private let configuration: Configuration
  private let logger: Logger
  private let sockets: [Socket]
  private let onReady: @Sendable () async -> Void
  private let counters = RequestCounters()

  private struct Socket: Sendable {
    let claim: SocketClaim
    let group: String?
    let isReadOnly: Bool
  }

  /// `onReady` is called once, when both sockets answer.
  public init(
    engine: any ControlledEngine, configuration: Configuration, logger: Logger,
    onReady: @escaping @Sendable () async -> Void = {}
  ) throws {
    self.engine = engine
    self.logger = logger
    self.onReady = onReady
    self.configuration = configuration
    sockets = [
      Socket(claim: try SocketClaim(configuration.socketPath), group: configuration.writeGroup, isReadOnly: false),
      Socket(
        claim: try SocketClaim(configuration.readOnlySocketPath), group: configuration.readGroup, isReadOnly: true),
    ]
  }

  public func run() async throws {
    let publication = Publication(of: sockets.count)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for socket in sockets {
        group.addTask {
          try await serve(socket, publication)
        }
      }
      // The first to end by an error takes the other with it.
      while try await group.next() != nil {}
    }
  }

  private func serve(_ socket: Socket, _ publication: Publication) async throws {
    let claim = socket.claim
    try claim.clearBindPath()
    let context = ServerContext(
      engine: engine, limits: configuration.limits, configuration: configuration.effective,
      isReadOnly: socket.isReadOnly, counters: counters, logger: logger)
    let limits = configuration.limits
    var quiet = logger
    if quiet.logLevel > .trace { quiet.logLevel = max(quiet.logLevel, .error) }
    let application = Application(
      responder: Responder(server: context, table: .all),
      server: HTTPServerBuilder { ConnectionSetup(responder: $0, limits: limits) },
      configuration: .init(
        address: .unixDomainSocket(path: claim.bindPath), serverName: nil,
        availableConnectionsDelegate: .maximum(limits.connections, logger: quiet)),
      onServerRunning: { channel in
        do {
          try claim.publish(group: socket.group)
          logger.info("listening", metadata: ["socket": "\(claim.path)", "readOnly": "\(socket.isReadOnly)"])
          if publication.isLast() { await onReady() }
        } catch {
          publication.fail(error)
          channel.close(promise: nil)
        }
      },
      logger: quiet)
    defer { claim.withdraw() }
    do {
      try await application.run()
    } catch {
      throw publication.failure ?? error
    }
    if let failure = publication.failure { throw failure }
  }
}

/// How far the sockets are on their way to their names.
private final class Publication: Sendable {
  private let state: Mutex<(missing: Int, failure: (any Error)?)>

  init(of count: Int) { state = Mutex((count, nil)) }

  /// Counts one socket that is in place.
  func isLast() -> Bool {
    state.withLock {
      $0.missing -= 1
      return $0.missing == 0
    }
  }

  func fail(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

  /// Why a socket could not be put in place.
  var failure: (any Error)? { state.withLock { $0.failure } }
}
