import ChildProtocol
import DroverModel
import Planner

/// The life of one job. Each event is a method that changes the value and returns what is to be done; there is no
/// clock, no randomness and no I/O inside. The engine works on a copy and keeps it only when the catalog took the row.
///
///     pending --start--> running --exit--> succeeded | failed | cancelled
///        ^                  |
///        +-- transient, after-fix, daemon's end; `paused` where somebody asked for it
///
/// A job that is over, but has left something behind, goes through `pending` and `running` once more to remove it: then
/// `record.ending` says how it will end.
struct JobMachine: Sendable, Equatable {
  private(set) var record: JobRecord
  private(set) var phase: Phase = .idle
  let policy: RetryPolicy
  /// What a worker has to end by itself after it was told to, or after its last word.
  let graceSeconds: Double

  /// Whether a process works for the job. In memory only: after a restart none does.
  enum Phase: Sendable, Equatable {
    case idle
    case working(Attempt)
  }

  struct Attempt: Sendable, Equatable {
    var mode: JobOrder.Mode
    var stop: Stop?
    var outcome: Outcome?
    /// The worker has removed whatever the job had made.
    var isClean = false
    /// Something that the job may wait for has changed since it began.
    var isOutdated = false
  }

  enum Stop: Sendable, Equatable { case cancel, pause, shutdown }

  enum Outcome: Sendable, Equatable {
    case finished
    case failed(Fault)
    case stopped
  }

  /// Discards that may fail, about a minute's, before the job ends without.
  static let discardAttempts = 7

  init(_ record: JobRecord, policy: RetryPolicy, graceSeconds: Double) {
    self.record = record
    self.policy = policy
    self.graceSeconds = graceSeconds
  }

  var id: String { record.job.id }
  var isWorking: Bool { phase != .idle }
  var isDiscarding: Bool { if case .working(let attempt) = phase { attempt.mode == .discard } else { false } }

  // MARK: Start and end

  /// The daemon has just started: nothing works for the job any more.
  mutating func recover(now: Double) -> [JobAction] {
    guard record.job.state == .running || (record.job.state == .pending && record.job.kind.streams) else {
      return record.waitsForChange && record.job.state == .pending ? wake() : []
    }
    if record.job.kind.streams, record.ending == nil {
      return end(.failed(Self.interrupted(by: "the daemon was stopped")), now: now)
    }
    record.job.state = record.held && record.ending == nil ? .paused : .pending
    record.job.runAfter = nil
    return [.persist(.jobRetrying, "continues after a restart of the daemon")]
  }

  /// The queue has chosen the job, and this is what it has to do as things are now; nil for a discard, which undoes what
  /// was done before. Only for one that is pending and idle.
  mutating func start(_ planned: PlannedJob?, now: Double) -> [JobAction] {
    precondition(record.job.state == .pending && phase == .idle)
    record.job.state = .running
    record.job.runAfter = nil
    record.waitsForChange = false
    record.note = nil
    guard record.ending == nil else {
      phase = .working(Attempt(mode: .discard))
      return [.persist(nil), .launch(.discard)]
    }
    if let planned {
      record.job.pipeline = planned.pipeline
      record.job.reads = planned.reads
      record.job.target = planned.target
      record.job.result = planned.inherited
    }
    record.job.attempt += 1
    record.job.error = nil
    if record.job.startedAt == nil { record.job.startedAt = now }
    phase = .working(Attempt(mode: .run))
    return [.persist(.jobStarted, "attempt \(record.job.attempt) started"), .launch(.run)]
  }

  /// The job can't be started at all, for a reason found before there was a worker.
  mutating func refuse(_ fault: Fault, now: Double, random: Double) -> [JobAction] {
    precondition(phase == .idle)
    record.note = nil
    return settle(fault, now: now, random: random)
  }

  /// What the job waits for before it can start changed.
  mutating func waits(for note: String?) -> [JobAction] {
    guard record.note != note else { return [] }
    record.note = note
    return [.persist(nil)]
  }

  /// The worker's process could not be started, or is gone: `status` says how, for people.
  mutating func exited(_ status: String, now: Double, random: Double) -> [JobAction] {
    guard case .working(let attempt) = phase else { return [] }
    phase = .idle
    if record.job.state.isFinal { return [.release, .reschedule] }
    let outcome =
      attempt.outcome
      ?? .failed(Fault(.workerDied, "the worker ended with \(status) before it had finished", retry: .transient))
    let actions =
      attempt.mode == .discard
      ? discardEnded(outcome, attempt.stop, now: now, random: random)
      : runEnded(outcome, attempt, now: now, random: random)
    return actions + [.release, .reschedule]
  }

  private mutating func runEnded(
    _ outcome: Outcome, _ attempt: Attempt, now: Double, random: Double
  ) -> [JobAction] {
    // After a cancel nobody knows whether the worker found the time to clean up, so another one does it again.
    if let ending = record.ending { return end(ending, now: now) }
    switch (outcome, attempt.stop) {
    case (.failed(let fault), _) where attempt.outcome != nil && fault.retry == .never:
      // Where the worker could not remove what the job had made, or never came so far, another one is to do it.
      return settle(fault, discarded: attempt.isClean, now: now, random: random)
    case (_, .pause) where record.held:
      record.job.state = .paused
      return [.persist(.jobPaused, "paused")]
    case (_, .pause), (_, .shutdown):
      record.job.state = .pending
      return [.persist(nil)]
    case (.failed(let fault), _):
      return settle(fault, isOutdated: attempt.isOutdated, now: now, random: random)
    case (.stopped, _), (.finished, _):
      let fault = Fault(.workerDied, "the worker stopped although nobody had asked for it", retry: .transient)
      return settle(fault, now: now, random: random)
    }
  }

  private mutating func discardEnded(
    _ outcome: Outcome, _ stop: Stop?, now: Double, random: Double
  ) -> [JobAction] {
    switch outcome {
    case .finished:
      record.leftovers = false
      return end(record.ending!, now: now)
    case .stopped where stop == .shutdown, .failed where stop == .shutdown:
      record.job.state = .pending
      return [.persist(nil)]
    case .stopped, .failed:
      record.failures += 1
      // Whatever it was: a disk may have been full or read-only for a moment only.
      if record.failures >= Self.discardAttempts {
        var fault = Fault(.workerDied, "the worker stopped although nobody had asked for it")
        if case .failed(let told) = outcome { fault = told }
        let warning = JobAction.persist(.warning, "could not remove what the job left behind: \(fault.message)")
        return [warning] + end(record.ending!, keepingLeftovers: true, after: fault, now: now)
      }
      record.job.state = .pending
      record.job.runAfter = now + policy.backoff(failures: record.failures, random: random)
      return [.persist(nil)]
    }
  }

  /// Decides by the fault's retry class. `discarded`: nothing of the attempt is left. `isOutdated`: something has changed
  /// since the attempt began.
  private mutating func settle(
    _ fault: Fault, discarded: Bool = false, isOutdated: Bool = false, now: Double, random: Double
  ) -> [JobAction] {
    if discarded { record.leftovers = false }
    if record.job.kind.streams || fault.retry == .never {
      return end(.failed(fault), now: now)
    }
    let pause: Double?
    var message = "attempt \(record.job.attempt): \(fault.message)"
    switch fault.retry {
    case .afterFix where isOutdated:
      // The attempt may have begun before the change, which is not to be waited for again.
      pause = nil
      message += "; tries again, since something has changed meanwhile"
    case .afterFix:
      record.waitsForChange = true
      pause = policy.probeSeconds
      message += "; waits for a change"
    case .transient where fault.code == .locked || fault.code == .noSpace:
      pause = policy.lockPause(random: random)
      message += "; asks again"
    default:
      record.failures += 1
      guard record.failures < policy.attempts else {
        return end(.failed(fault), keepingLeftovers: true, now: now)
      }
      let backoff = policy.backoff(failures: record.failures, random: random)
      pause = backoff
      message += "; next attempt in \(Int(backoff.rounded(.up))) s"
    }
    record.job.state = record.held ? .paused : .pending
    record.job.error = fault
    record.job.runAfter = pause.map { now + $0 }
    return [.persist(.jobRetrying, message), .reschedule]
  }

  /// Ends the job, after its leftovers are removed where there are any. One that ran out of attempts keeps them: a
  /// retry by hand continues there, and they go with the owner.
  /// - Parameter failure: Why leftovers could not be removed.
  private mutating func end(
    _ ending: JobRecord.Ending, keepingLeftovers: Bool = false, after failure: Fault? = nil, now: Double
  ) -> [JobAction] {
    record.note = nil
    record.waitsForChange = false
    record.job.runAfter = nil
    if record.leftovers && !keepingLeftovers {
      if record.ending != ending { record.failures = 0 }
      record.ending = ending
      record.job.state = .pending
      if case .failed(let fault) = ending { record.job.error = fault }
      return [.persist(nil), .reschedule]
    }
    record.ending = nil
    record.held = false
    record.job.finishedAt = now
    var actions: [JobAction] = []
    switch ending {
    case .failed(let cause):
      let fault = failure.map { cause.leaving($0, hint: leftoversHint) } ?? cause.withoutLeftovers
      record.job.state = .failed
      record.job.error = fault
      actions.append(.persist(.jobFailed, fault.message))
    case .cancelled:
      record.job.state = .cancelled
      let left = failure.map { Fault($0.code, "cancelled", retry: .never).leaving($0, hint: leftoversHint) }
      if left != nil || record.job.error?.tellsOfLeftovers == true { record.job.error = left }
      actions.append(.persist(.jobCancelled, left?.message ?? "cancelled"))
    }
    if !record.leftovers { actions.append(.dropCheckpoint) }
    return actions + [.reschedule]
  }

  static func interrupted(by reason: String) -> Fault {
    Fault(.uploadInterrupted, "the transfer was interrupted: \(reason)", hint: "start it again")
  }
}

// MARK: What the worker says

extension JobMachine {
  mutating func planned(_ plan: JobPlan) -> [JobAction] {
    guard isRunning else { return [] }
    return [.admit(plan.space)]
  }

  mutating func admitted() -> [JobAction] {
    guard isRunning else { return [] }
    guard record.job.kind.leavesTraces, !record.leftovers else { return [.send(.admitted)] }
    record.leftovers = true
    return [.persist(nil), .send(.admitted)]
  }

  mutating func denied(_ fault: Fault) -> [JobAction] {
    guard setOutcome(.failed(fault)) else { return [] }
    return [.send(.denied(fault)), .kill(afterSeconds: graceSeconds)]
  }

  mutating func checkpoint(_ checkpoint: Checkpoint) -> [JobAction] {
    isRunning ? [.saveCheckpoint(checkpoint)] : []
  }

  /// Everything is in place: the row says so at once, whatever becomes of the process.
  mutating func finished(_ result: JobResult, now: Double) -> [JobAction] {
    guard setOutcome(.finished) else { return [] }
    guard !isDiscarding else { return [.kill(afterSeconds: graceSeconds)] }
    record.job.state = .succeeded
    record.job.result.merge(result.merged) { _, new in new }
    record.job.finishedAt = now
    record.job.error = nil
    record.ending = nil
    record.held = false
    record.leftovers = false
    return [.persist(.jobSucceeded, "succeeded"), .dropCheckpoint, .kill(afterSeconds: graceSeconds)]
  }

  mutating func failed(_ fault: Fault) -> [JobAction] {
    setOutcome(.failed(fault)) ? [.kill(afterSeconds: graceSeconds)] : []
  }

  /// Nothing is left, and the job is not to go on.
  mutating func discarded() -> [JobAction] {
    guard case .working(var attempt) = phase, attempt.mode == .run else { return [] }
    attempt.isClean = true
    phase = .working(attempt)
    return []
  }

  mutating func stopped() -> [JobAction] {
    setOutcome(.stopped) ? [.kill(afterSeconds: graceSeconds)] : []
  }

  private var isRunning: Bool {
    if case .working(let attempt) = phase { attempt.mode == .run && attempt.outcome == nil } else { false }
  }

  /// The first outcome counts.
  private mutating func setOutcome(_ outcome: Outcome) -> Bool {
    guard case .working(var attempt) = phase, attempt.outcome == nil else { return false }
    attempt.outcome = outcome
    phase = .working(attempt)
    return true
  }

  fileprivate mutating func setStop(_ stop: Stop) {
    guard case .working(var attempt) = phase else { return }
    attempt.stop = stop
    phase = .working(attempt)
  }
}

// MARK: What people ask for

extension JobMachine {
  mutating func cancel(now: Double) throws -> [JobAction] {
    try stop(with: .cancelled, now: now)
  }

  /// As `cancel`, but the job has failed: the client of a transfer went away.
  mutating func interrupt(_ fault: Fault, now: Double) throws -> [JobAction] {
    try stop(with: .failed(fault), now: now)
  }

  private mutating func stop(with ending: JobRecord.Ending, now: Double) throws -> [JobAction] {
    if record.job.state.isFinal { throw conflict("can't be cancelled: it has \(record.job.state.rawValue)") }
    guard case .working(let attempt) = phase else { return end(ending, now: now) }
    guard record.ending == nil else { return [] }
    record.ending = ending
    // What was said last decides where the worker has spoken already; the process is only on its way out.
    if attempt.outcome != nil { return [.persist(nil)] }
    setStop(.cancel)
    return [.persist(nil), .send(.cancel), .kill(afterSeconds: graceSeconds)]
  }

  mutating func pause() throws -> [JobAction] {
    if record.job.kind.streams { throw conflict("can't be paused: a client waits at the other end of its data") }
    if record.ending != nil { throw conflict("can't be paused: it is removing what it left behind") }
    switch record.job.state {
    case .paused: return []
    case .pending:
      record.held = true
      record.job.state = .paused
      return [.persist(.jobPaused, "paused")]
    case .running:
      guard !record.held else { return [] }
      record.held = true
      setStop(.pause)
      return [.persist(nil), .send(.pause), .kill(afterSeconds: graceSeconds * 4)]
    case .succeeded, .failed, .cancelled:
      throw conflict("can't be paused: it has \(record.job.state.rawValue)")
    }
  }

  mutating func resume() throws -> [JobAction] {
    switch record.job.state {
    case .paused:
      record.held = false
      record.job.state = .pending
      record.job.runAfter = nil
      return [.persist(.jobResumed, "resumed"), .reschedule]
    case .running where record.held:
      record.held = false
      return [.persist(.jobResumed, "resumed")]
    case .pending, .running: return []
    case .succeeded, .failed, .cancelled:
      throw conflict("can't be resumed: it has \(record.job.state.rawValue)", hint: retryHint)
    }
  }

  mutating func retry() throws -> [JobAction] {
    if record.job.kind.streams { throw conflict("can't be retried: its client is gone", hint: "start a new transfer") }
    if record.ending != nil { throw conflict("can't be retried before what it left behind is removed") }
    switch record.job.state {
    case .failed, .cancelled, .pending:
      record.job.state = .pending
      record.job.runAfter = nil
      record.job.finishedAt = nil
      record.failures = 0
      record.waitsForChange = false
      return [.persist(.jobRetrying, "retried by hand"), .reschedule]
    case .running: throw conflict("can't be retried: it is running")
    case .paused: throw conflict("can't be retried: it is paused", hint: "drover job resume \(id)")
    case .succeeded: throw conflict("can't be retried: it has succeeded")
    }
  }

  /// Something that the job may have waited for has changed.
  mutating func wake() -> [JobAction] {
    if case .working(var attempt) = phase, attempt.mode == .run {
      attempt.isOutdated = true
      phase = .working(attempt)
      return []
    }
    guard record.job.state == .pending, phase == .idle, record.waitsForChange else { return [] }
    record.waitsForChange = false
    record.job.runAfter = nil
    return [.persist(nil), .reschedule]
  }

  /// The owner goes: what a job that is over has left behind is to go as well.
  mutating func clean() -> [JobAction] {
    guard record.job.state.isFinal, record.leftovers, phase == .idle else { return [] }
    record.failures = 0
    record.ending = record.job.state == .failed ? .failed(record.job.error ?? Self.unknown) : .cancelled
    record.job.state = .pending
    record.job.runAfter = nil
    return [.persist(nil), .reschedule]
  }

  /// The daemon ends. Whatever can be continued is checkpointed and continues at the next start.
  mutating func shutDown(graceSeconds: Double) -> [JobAction] {
    guard case .working(let attempt) = phase, attempt.outcome == nil else { return [] }
    if attempt.mode == .run, record.job.kind.streams, record.ending == nil {
      record.ending = .failed(Self.interrupted(by: "the daemon was stopped"))
      setStop(.cancel)
      return [.persist(nil), .send(.cancel), .kill(afterSeconds: graceSeconds)]
    }
    if attempt.stop == nil { setStop(.shutdown) }
    let message: JobAction.Message = attempt.mode == .run && attempt.stop != .cancel ? .pause : .cancel
    return [.send(message), .kill(afterSeconds: graceSeconds)]
  }

  private static let unknown = Fault(.internalError, "the job failed")
  private var leftoversHint: String { "drover delete \(record.job.owner)\(Fault.leftoversHint)" }
  private var retryHint: String { "drover job retry \(id)" }

  private func conflict(_ what: String, hint: String? = nil) -> Fault {
    Fault(.conflict, "\(id) (\(record.job.kind.rawValue) for \(record.job.owner)) \(what)", hint: hint)
  }
}

extension JobResult {
  /// One object, as the catalog keeps it: what the stages said, and what the runner knows better.
  var merged: [String: JSONValue] {
    var values = self.values
    if let size { values["size"] = .int(size) }
    if let checksum { values["checksum"] = .string(checksum) }
    values["bytesCopied"] = .int(bytesCopied)
    return values
  }
}

extension Fault {
  /// Between a job's error and what is left of it.
  fileprivate static let leftoversHint = " tries again to remove it"
  private static let leftovers = "; what it left behind could not be removed: "

  /// The same, where what the job left behind could not be removed either.
  fileprivate func leaving(_ fault: Fault, hint: String) -> Fault {
    Fault(code, withoutLeftovers.message + Self.leftovers + fault.message, hint: self.hint ?? hint, retry: retry)
  }

  /// As it was before that was said of it.
  fileprivate var withoutLeftovers: Fault {
    guard let end = message.firstRange(of: Self.leftovers) else { return self }
    var fault = self
    fault.message = String(message[..<end.lowerBound])
    if fault.hint?.hasSuffix(Self.leftoversHint) == true { fault.hint = nil }
    return fault
  }

  fileprivate var tellsOfLeftovers: Bool { message.contains(Self.leftovers) }
}
