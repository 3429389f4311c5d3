import LinuxSystem
import Synchronization

/// Which calls of stages are under way, and when each last gave a sign of life: what the watchdog looks at, and what is
/// told of a worker that died.
final class Activity: Sendable {
  struct Call: Sendable {
    var stage: String
    var name: String
    /// Path of the plugin's file.
    var plugin: String
    /// Seconds of the boot clock.
    var began: Double

    /// `call pread of stage clone, plugin /path/file.so`
    var description: String {
      (stage.isEmpty ? "call \(name)" : "call \(name) of stage \(stage)") + (plugin.isEmpty ? "" : ", plugin \(plugin)")
    }
  }

  private struct State {
    var next: UInt64 = 0
    var calls: [UInt64: Call] = [:]
    var signs: [String: Double] = [:]
  }
  private let state = Mutex(State())
  private let notes: CallNotes?
  private let onCall: (@Sendable (_ stage: String, _ name: String) -> Void)?

  /// - Parameters:
  ///   - notes: Where whoever started this process finds the calls after its death.
  ///   - onCall: Is told of each call before it begins, on its thread.
  init(notes: CallNotes? = nil, onCall: (@Sendable (_ stage: String, _ name: String) -> Void)? = nil) {
    self.notes = notes
    self.onCall = onCall
  }

  /// The same process, another listener.
  func listening(_ onCall: @escaping @Sendable (_ stage: String, _ name: String) -> Void) -> Activity {
    Activity(notes: notes, onCall: onCall)
  }

  /// Runs `body` as a call that is watched.
  func during<R, E: Error>(
    _ stage: String, _ name: String, plugin: String = "", _ body: () throws(E) -> R
  ) throws(E) -> R {
    onCall?(stage, name)
    let number = state.withLock { state in
      state.next += 1
      state.calls[state.next] = Call(stage: stage, name: name, plugin: plugin, began: BootClock.seconds())
      return state.next
    }
    let note = notes?.begin(name, stage: stage, plugin: plugin)
    defer {
      if let note { notes?.end(note) }
      state.withLock { _ = $0.calls.removeValue(forKey: number) }
    }
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
