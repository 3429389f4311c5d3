import Glibc
public import LinuxSystem

/// Serves one export to all that connect to a socket. Source: the NBD protocol, fixed newstyle.
///
/// Threads and memory are bounded: so many clients at once, each with a few threads and a MiB a thread, whatever they ask for.
/// A client that says nothing, nonsense, or too little is left without harm to the others.
public final class NBDServer: Sendable {
  private let listener: ListeningSocket
  private let export: NBDExport
  private let patience: Double
  private let log: @Sendable (String) -> Void
  private let state = Monitor(State())

  private struct State {
    var connections: [Int: Connection] = [:]
    var next = 0
    var isStopped = false
    /// Seconds that clients get to take the answers that are under way.
    var grace = 0.0
  }

  public static let mostClients = 16
  private static let patienceForPlace = 1.0

  /// How many are connected now.
  public var clients: Int { state.withLock { $0.connections.count } }

  /// - Parameters:
  ///   - patience: Seconds that a client may be silent in the middle of a request.
  ///   - log: Told of clients that did not keep the protocol.
  public init(
    _ listener: ListeningSocket, _ export: NBDExport, patience: Double = 60,
    log: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.listener = listener
    self.export = export
    self.patience = patience
    self.log = log
  }

  /// Serves until `stop`; returns when the last client is gone. Blocks.
  public func run() throws(SystemError) {
    defer { endAll() }
    while !state.withLock({ $0.isStopped }) {
      guard let client = try listener.accept(waiting: 0.25) else { continue }
      let socket = ClientSocket(adopting: client)
      let connection = Connection(socket, export, patience: patience)
      // Those that have just gone may still be on their way out.
      let number: Int? = state.wait(atMost: Self.patienceForPlace) { state in
        guard state.connections.count < Self.mostClients, !state.isStopped else { return nil }
        state.next += 1
        state.connections[state.next] = connection
        return state.next
      }
      guard let number else {
        log("a client was sent away: \(Self.mostClients) are served already")
        socket.shutDown()
        continue
      }
      do throws(SystemError) {
        try SystemThread.start("nbd client") { [self] in
          do throws(Parting) { try connection.run() } catch {
            if case .nonsense(let what) = error { log("a client was sent away: \(what)") }
          }
          state.change { _ = $0.connections.removeValue(forKey: number) }
        }
      } catch {
        state.change { _ = $0.connections.removeValue(forKey: number) }
        log("a client was sent away: \(error)")
      }
    }
  }

  /// From any thread. No request is taken any more. Those under way are answered within so many seconds; then clients
  /// are left in the middle of what they do.
  public func stop(grace seconds: Double = 0) {
    state.change { state in
      state.isStopped = true
      state.grace = seconds
    }
  }

  private func endAll() {
    let (connections, grace) = state.withLock { (Array($0.connections.values), $0.grace) }
    if grace > 0 {
      for connection in connections { connection.drain() }
      _ = state.wait(atMost: grace) { $0.connections.isEmpty ? true : nil }
    }
    for connection in connections { connection.end() }
    _ = state.wait { $0.connections.isEmpty ? true : nil }
  }
}
