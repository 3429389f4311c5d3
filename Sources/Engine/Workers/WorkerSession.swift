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

  init(attempt: Int) { self.attempt = attempt }

  /// Kills the worker after so many seconds, unless it has ended before.
  func kill(after seconds: Double, sleep: @escaping @Sendable (Double) async throws -> Void) {
    let timer = Task {
      do { try await sleep(seconds) } catch { return }
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
