import DroverModel
import LinuxSystem
import Planner
import Synchronization

/// One attempt's worker, as the engine holds it.
final class WorkerSession: Sendable {
  let attempt: Int
  private let lastProgress = Mutex<Job.Progress?>(nil)
  private let process = Mutex<(any Worker)?>(nil)
  private let timers = Mutex<[Task<Void, Never>]>([])
  private let said = Atomic(0)

  init(attempt: Int) { self.attempt = attempt }

  /// Kills the worker after so many seconds, unless it has ended before.
  func kill(after seconds: Double, sleep: @escaping @Sendable (Double) async throws -> Void) {
    let timer = Task {
      do { try await sleep(seconds) } catch { return }
      worker?.kill()
    }
    timers.withLock { $0.append(timer) }
  }

  /// The worker has said something, whatever it was. A live one does every second.
  func heard() { said.add(1, ordering: .relaxed) }

  /// Kills the worker when it has said nothing for so many seconds, after `silent` was called with them. They are counted
  /// in steps that this process was there for: where host or daemon stood still, nobody could have been heard.
  func watch(
    silence seconds: Double, sleep: @escaping @Sendable (Double) async throws -> Void,
    silent: @escaping @Sendable (Double) async -> Void
  ) {
    let step = min(10, seconds / 8)
    let timer = Task {
      var last = said.load(ordering: .relaxed)
      var quiet = 0.0
      while quiet < seconds {
        do { try await sleep(step) } catch { return }
        let now = said.load(ordering: .relaxed)
        quiet = now == last ? quiet + step : 0
        last = now
      }
      await silent(quiet)
      worker?.kill()
    }
    timers.withLock { $0.append(timer) }
  }

  /// The worker is gone.
  func end() {
    for timer in timers.withLock({ $0 }) { timer.cancel() }
  }

  /// The last report; written by the worker's thread, read by whoever asks.
  var progress: Job.Progress? {
    get { lastProgress.withLock { $0 } }
    set { lastProgress.withLock { $0 = newValue } }
  }

  var worker: (any Worker)? {
    get { process.withLock { $0 } }
    set { process.withLock { $0 = newValue } }
  }
}

/// A transfer that has a client, but no worker yet.
struct WaitingStream: Sendable {
  var planned: PlannedJob
  /// The worker's end; closed here once the worker has it.
  var workerEnd: StreamSocket
}
