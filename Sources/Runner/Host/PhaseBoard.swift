import Synchronization

/// What the job is doing just now, for people: the runner's own phase, or what a stage has said since.
final class PhaseBoard: Sendable {
  private struct State {
    var own = "starting"
    var stage: String?
  }
  private let state = Mutex(State())

  func enter(_ phase: String) { state.withLock { $0 = State(own: phase) } }

  func say(_ phase: String, detail: String?) {
    let text = detail.map { "\(phase): \($0)" } ?? phase
    state.withLock { $0.stage = String(text.prefix(200)) }
  }

  /// Bytes move: what a stage said before is over.
  func moved() { state.withLock { $0.stage = nil } }

  var current: String { state.withLock { $0.stage ?? $0.own } }
}
