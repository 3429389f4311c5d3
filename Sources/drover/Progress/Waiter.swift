import ControlAPI
import ArgumentParser
import DroverModel
import Glibc

/// Follows objects until they are where they shall be, and shows the way there.
struct Waiter {
  let daemon: Daemon
  let display: any ProgressDisplay
  /// On the boot-time clock; nil waits for ever.
  let deadline: Double?
  private let startedAt = monotonicSeconds()

  init(_ daemon: Daemon, _ display: any ProgressDisplay, timeout: Span?) {
    self.daemon = daemon
    self.display = display
    deadline = timeout.map { monotonicSeconds() + $0.seconds }
  }

  /// Throws the fault for which the object does not get there, `timed-out` or `locked` at the deadline, and the exit
  /// code of a signal. Returns the object as it is then; nil when it was waited for to go.
  func wait(for key: ResourceKey, _ goal: Goal = .done) throws -> Resource? {
    Interrupts.watch()
    defer { display.clear() }
    var last: JobProgress?
    var pause = 0.02
    while true {
      guard let resource = try daemon.resourceIfPresent(key) else {
        if case .deleted = goal { return nil }
        throw Fault(.notFound, "\(key) does not exist")
      }
      let job = try job(of: resource, key)
      if try isReached(resource, key, goal, job) { return resource }
      show(key, goal, resource, job)
      if let job { last = job }
      try checkDeadline(key, goal, last)
      if Interrupts.isPending { display.note("\(key)", "no longer waited for; its job goes on") }
      try Interrupts.check()
      Interrupts.pause(seconds: pause)
      pause = min(0.3, pause * 1.5)
    }
  }

  /// Its newest job, while that is not over or has failed.
  private func job(of resource: Resource, _ key: ResourceKey) throws -> JobProgress? {
    if key.kind == .job { return JobProgress(resource) }
    guard let id = resource.status["job"]?.string else { return nil }
    return try daemon.resourceIfPresent(ResourceKey(.job, id)).map(JobProgress.init)
  }

  private func isReached(
    _ resource: Resource, _ key: ResourceKey, _ goal: Goal, _ job: JobProgress?
  ) throws -> Bool {
    let standing = Standing(resource, key.kind)
    switch (goal, standing) {
    case (.deleted, _): return false
    case (.state(let wanted), _):
      let state = resource.status["state"]?.string ?? ""
      // A volume that could not be made is detached as well.
      if case .failed = standing, key.kind == .volume { break }
      if state.lowercased() == wanted.lowercased() { return true }
      if case .reached = standing {
        throw Fault(.conflict, "\(key) is \(state) already, which is final, and not \(wanted)")
      }
    case (.done, .reached): return true
    case (.done, _): break
    }
    if case .failed(let message, let fault) = standing {
      let failed = job.flatMap { $0.state == "failed" || $0.state == "cancelled" ? $0 : nil }
      let cancelled =
        failed?.state == "cancelled" ? Fault(.cancelled, "its job \(failed?.id ?? "") was cancelled") : nil
      let cause = fault ?? failed?.error ?? cancelled ?? Fault("failed", message)
      throw Fault(cause.code, "\(key) failed: \(cause.message)", hint: cause.hint ?? hint(failed), retry: cause.retry)
    }
    // An object that is where its job left it gets no further: a record of a backup that is not in the store.
    if case .done = goal, case .onTheWay = standing, key.kind != .job, let job,
      job.state == "failed" || job.state == "cancelled"
    {
      let cause = job.error ?? Fault(.cancelled, "its job \(job.id) was cancelled")
      throw Fault(cause.code, "\(key) failed: \(cause.message)", hint: cause.hint ?? hint(job), retry: cause.retry)
    }
    // Where something has changed since, the error is an old one, and the next attempt is about to begin.
    if let error = job?.error, error.retry == .afterFix, job?.state == "pending", job?.pauses == true {
      throw Fault(
        error.code, "\(key) waits for a change: \(error.message)",
        hint: error.hint ?? "its job \(job?.id ?? "") goes on by itself when the cause is gone", retry: .afterFix)
    }
    return false
  }

  private func hint(_ job: JobProgress?) -> String? { job.map { "drover job logs \($0.id) shows what it did" } }

  private func show(_ key: ResourceKey, _ goal: Goal, _ resource: Resource, _ job: JobProgress?) {
    var phase = "waiting"
    if case .onTheWay(let message) = Standing(resource, key.kind) { phase = message }
    if case .deleted = goal {
      // How far its work had come says nothing about its going.
      return display.update(ProgressState(subject: "\(key)", phase: "still there", percent: 0))
    }
    guard let job, job.state == "running" || job.state == "pending" || job.state == "paused" else {
      let percent = resource.status["progress"]?.int.map(Int.init) ?? 0
      return display.update(ProgressState(subject: "\(key)", phase: phase, percent: percent))
    }
    let waiting = job.error.map { "will try again: \($0.message)" } ?? job.state
    display.update(
      ProgressState(
        subject: "\(key)", job: job.id, phase: job.state == "running" ? job.phase ?? "starting" : waiting,
        percent: job.percent, bytesDone: job.bytesDone, bytesTotal: job.bytesTotal, bytesPerSecond: job.rate,
        etaSeconds: job.etaSeconds, attempt: job.attempt))
  }

  private func checkDeadline(_ key: ResourceKey, _ goal: Goal, _ job: JobProgress?) throws {
    guard let deadline, monotonicSeconds() >= deadline else { return }
    let waited = TimeSpan.text(deadline - startedAt)
    let isLocked = job?.error?.code == .locked || job?.phase?.hasPrefix("waiting for lock") == true
    if isLocked {
      throw Fault(
        .locked, "\(key) still waits for the lock of another writer after \(waited): \(job?.error?.message ?? "")",
        hint: "its job goes on waiting; the lock of a writer that died expires by itself")
    }
    if case .deleted = goal {
      throw Fault(.timedOut, "\(key) is still there after \(waited)", hint: "drover delete \(key) deletes it")
    }
    if let job, job.state == "paused" {
      throw Fault(
        .timedOut, "\(key) is not there after \(waited); its job \(job.id) is paused",
        hint: "drover job resume \(job.id)")
    }
    throw Fault(
      .timedOut, "\(key) is not there after \(waited)\(job.map { "; its job \($0.id) is \($0.state)" } ?? "")",
      hint: "it goes on; wait longer with drover wait \(key), or end it with drover job cancel")
  }
}
