import ChildProtocol
import DroverModel
import Synchronization

/// What all stages of one attempt share: where reports go, whether to stop, what is under way, and what was emitted.
final class JobContext: Sendable {
  let interruption: Interruption
  let activity: Activity
  let phase = PhaseBoard()
  /// Of a task, in its own unit; copies are counted by the pump.
  let taskProgress = Mutex<(done: UInt64, total: UInt64)?>(nil)
  private let send: @Sendable (WorkerReport) -> Void
  /// By the stage that emitted them.
  private let results = Mutex<[String: [String: JSONValue]]>([:])
  private let recordFault = Mutex<Fault?>(nil)

  init(
    interruption: Interruption, activity: Activity = Activity(), send: @escaping @Sendable (WorkerReport) -> Void
  ) {
    self.interruption = interruption
    self.activity = activity
    self.send = send
  }

  func report(_ report: WorkerReport) { send(report) }
  func log(_ level: LogLevel, _ message: String) { send(.log(level: level, message: message)) }

  func record(stage: String, kind: String, value: JSONValue) {
    if kind == "result", case .object(let members) = value {
      results.withLock { $0[stage, default: [:]].merge(members) { _, new in new } }
    }
    send(.record(stage: stage, kind: kind, value: value))
  }

  /// A stage emitted what is no record; the attempt must not succeed without it.
  func refuseRecord(_ fault: Fault) {
    recordFault.withLock { $0 = $0 ?? fault }
    log(.error, fault.message)
  }

  func checkRecords() throws {
    if let fault = recordFault.withLock({ $0 }) { throw fault }
  }

  /// All records of kind `result`, merged. Where several stages say the same thing, the last of `stages` is right: a
  /// source has no say in where a sink has put what it made.
  func mergedResults(of stages: [String]) -> [String: JSONValue] {
    results.withLock { results in
      var merged: [String: JSONValue] = [:]
      for stage in stages { merged.merge(results[stage] ?? [:]) { _, new in new } }
      return merged
    }
  }
}
