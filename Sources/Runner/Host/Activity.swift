import LinuxSystem
import Synchronization

/// Which calls of stages are under way, and when each last gave a sign of life: what the watchdog looks at.
final class Activity: Sendable {
  struct Call: Sendable {
    var stage: String
    var name: String
    /// Seconds of the boot clock.
    var began: Double
  }

  private struct State {
    var next: UInt64 = 0
    var calls: [UInt64: Call] = [:]
    var signs: [String: Double] = [:]
  }
  private let state = Mutex(State())

  /// Runs `body` as a call that is watched.
  func during<R>(_ stage: String, _ name: String, _ body: () throws -> R) rethrows -> R {
    let number = state.withLock { state in
      state.next += 1
      state.calls[state.next] = Call(stage: stage, name: name, began: BootClock.seconds())
      return state.next
    }
    defer { state.withLock { _ = $0.calls.removeValue(forKey: number) } }
    return try body()
  }

  /// The stage has shown that it gets on.
  func sign(_ stage: String) { state.withLock { $0.signs[stage] = BootClock.seconds() } }

  /// The call that has been silent longest, and for how many seconds.
  func longestSilence(now: Double) -> (call: Call, seconds: Double)? {
    state.withLock { state in
      state.calls.values
        .map { (call: $0, seconds: now - max($0.began, state.signs[$0.stage] ?? 0)) }
        .max { $0.seconds < $1.seconds }
    }
  }
}
