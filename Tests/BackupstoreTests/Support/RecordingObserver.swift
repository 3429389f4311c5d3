import Backupstore
import Synchronization

/// Keeps what it was told; cancels when asked to.
final class RecordingObserver: StoreObserver {
  private let state = Mutex(State())

  private struct State {
    var isCancelled = false
    var phases: [String] = []
    var lines: [String] = []
  }

  var isCancelled: Bool { state.withLock { $0.isCancelled } }
  var phases: [String] { state.withLock { $0.phases } }
  var lines: [String] { state.withLock { $0.lines } }

  func cancel() { state.withLock { $0.isCancelled = true } }
  func log(_ level: StoreLogLevel, _ message: String) { state.withLock { $0.lines.append(message) } }
  func phase(_ phase: String, _ detail: String?) { state.withLock { $0.phases.append(phase) } }
  func progress(done: UInt64, total: UInt64) {}
}
