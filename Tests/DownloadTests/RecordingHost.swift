import StageKit
import Synchronization

/// A host that keeps what it is told, and cancels when asked to.
final class RecordingHost: Host {
  private struct State {
    var lines: [String] = []
    var records: [String: String] = [:]
    var phases: [String] = []
  }
  private let state = Mutex(State())
  private let questions = Atomic(0)
  private let patience: Int

  /// Tells a stage to give up when it asks for the `cancelledAt`th time.
  init(cancelledAt patience: Int = .max) { self.patience = patience }

  func log(_ level: LogLevel, _ message: String) { state.withLock { $0.lines.append(message) } }
  func emit(_ kind: String, json: String) { state.withLock { $0.records[kind] = json } }
  func phase(_ phase: String, detail: String?) { state.withLock { $0.phases.append(phase) } }
  func progress(done: UInt64, total: UInt64) {}
  var isCancelled: Bool {
    questions.add(1, ordering: .relaxed).newValue >= patience
  }

  var lines: [String] { state.withLock { $0.lines } }
  var records: [String: String] { state.withLock { $0.records } }
  var phases: [String] { state.withLock { $0.phases } }
}
