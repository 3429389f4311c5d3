import Backupstore
import Synchronization

/// Time that passes only when somebody pauses, or when the test says so.
final class SimulatedClock: StoreClock {
  private let state = Mutex(State())
  /// The server's clock less the local wall clock, in seconds.
  let serverAhead: Double

  private struct State {
    var seconds = 1000.0
    /// What happens when that time has come.
    var events: [(at: Double, event: @Sendable () -> Void)] = []
  }

  init(serverAhead: Double = 0) { self.serverAhead = serverAhead }

  func bootSeconds() -> Double { state.withLock { $0.seconds } }
  func wallSeconds() -> Int64 { 1_800_000_000 + Int64(bootSeconds()) }

  /// What the server would stamp on a file now.
  func serverNanoseconds() -> Int64 { Int64((1_800_000_000 + bootSeconds() + serverAhead) * 1e9) }

  func pause(seconds: Double) { advance(seconds) }

  func advance(_ seconds: Double) {
    let due = state.withLock { state in
      state.seconds += seconds
      let now = state.seconds
      let due = state.events.filter { $0.at <= now }
      state.events.removeAll { $0.at <= now }
      return due
    }
    for event in due { event.event() }
  }

  func after(_ seconds: Double, _ event: @escaping @Sendable () -> Void) {
    state.withLock { $0.events.append(($0.seconds + seconds, event)) }
  }
}
