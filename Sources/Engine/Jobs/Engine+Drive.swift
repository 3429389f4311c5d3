import ChildProtocol
import DroverModel
import LinuxSystem
import Logging
import Planner

// The one way by which a job changes: event, state machine, commit, effects.

extension Engine {
  /// Feeds an event to a job's machine, commits what follows from it in one transaction, and then does it.
  ///
  /// Where the commit fails nothing has changed, in memory or outside, and the error is thrown.
  /// - Parameter extra: Goes into the same transaction.
  @discardableResult
  func drive(_ id: String, with extra: [CatalogChange] = [], _ event: JobEvent) throws -> JobRecord {
    guard var machine = machines[id] else { throw Fault(.notFound, "job/\(id) does not exist") }
    let before = machine.record
    let actions = try event(&machine)
    let record = machine.record

    var changes = extra
    for action in actions {
      switch action {
      case .persist(let notice):
        changes.append(.putJob(record))
        if let notice {
          changes.append(self.event(notice.type, record.job.owner, job: id, message: notice.message))
        }
      case .saveCheckpoint(let checkpoint): changes.append(.putCheckpoint(job: id, checkpoint))
      case .dropCheckpoint: changes.append(.deleteCheckpoint(job: id))
      default: break
      }
    }
    let owner = record == before ? nil : reflected(record)
    if let owner { changes += ownerChanges(owner, record) }
    let layers = record.job.state == before.job.state ? LayerChange() : layers(after: record, owner)
    changes += self.changes(layers, job: id)
    let judged = record.job.state == before.job.state ? [] : judged(by: record)
    for member in judged { changes += [.putResource(member)] + stateEvent(member, job: id) }
    if let warning = VerificationController.warning(record.job), record.job.state != before.job.state {
      changes.append(self.event(.warning, record.job.owner, job: id, message: warning))
    }
    try catalog.commit(changes)

    machines[id] = machine
    if record.job.kind.writesOwner { touch(record.job.owner) }
    if let owner { keep(owner) }
    for member in judged { resources[member.key] = member }
    keep(layers)
    if !changes.isEmpty { changed.raise() }
    for action in actions { perform(action, id) }
    if !layers.isEmpty { wanted.raise() }
    if record.job.state != before.job.state, record.job.state.isFinal { ended(record) }
    return record
  }

  /// As `drive`, for what a worker or a timer says: where the catalog can't be written, the event waits.
  func deliver(_ id: String, _ event: @escaping JobEvent) {
    guard backlog[id] == nil else {
      backlog[id]!.append(event)
      return
    }
    do { try drive(id, event) } catch {
      logger.error("catalog write failed; will be tried again", metadata: ["job": "\(id)", "error": "\(error)"])
      backlog[id] = [event]
      wanted.raise()
    }
  }

  /// Tries again what could not be written.
  func deliverBacklog() {
    for id in backlog.keys.sorted() {
      while let event = backlog[id]?.first {
        do { try drive(id, event) } catch { break }
        backlog[id]!.removeFirst()
        if backlog[id]!.isEmpty { backlog[id] = nil }
      }
    }
  }

  // MARK: The owner

  /// The owner as the job makes it look, where that is another look; nil otherwise.
  private func reflected(_ record: JobRecord) -> OwnerChange? {
    guard var owner = resources[record.job.owner] else { return nil }
    if record.job.kind.removesOwner, record.job.state == .succeeded { return .gone(owner.key) }
    let old = owner.status
    switch owner.key.kind {
    case .backingImage:
      owner.status = ImageController.reflect(old, record)
      if record.job.kind.writesOwner, record.job.state == .succeeded {
        owner.status = named(owner, by: record.job.result)
      }
    case .backupBackingImage: owner.status = BackupController.reflect(old, record)
    case .backupTarget: owner.status = TargetController.reflect(old, record, now: environment.now())
    case .volume: owner.status = VolumeController.reflect(old, record)
    case .snapshot: owner.status = SnapshotController.reflect(old, record)
    case .backup: owner.status = VolumeBackupController.reflect(old, record)
    case .secret, .job: break
    }
    // A deletion that failed is over: the object stays, and may be deleted again.
    if record.job.kind.removesOwner, record.job.state.isFinal { owner.deleting = false }
    return owner == resources[owner.key] ? nil : .changed(owner)
  }

  enum OwnerChange {
    case changed(ResourceRecord)
    case gone(ResourceKey)
  }

  private func ownerChanges(_ change: OwnerChange, _ record: JobRecord) -> [CatalogChange] {
    switch change {
    case .gone(let key):
      return [.deleteResource(key), event(.deleted, key, job: record.job.id, message: "deleted")]
    case .changed(let owner):
      return [.putResource(owner)] + stateEvent(owner, job: record.job.id)
    }
  }

  /// An event where the word in `status.state`, or a target's availability, is another now.
  func stateEvent(_ record: ResourceRecord, job: String? = nil) -> [CatalogChange] {
    let old = resources[record.key]?.status ?? [:]
    if record.status["state"] != old["state"], let state = record.status["state"]?.string {
      let why = record.status["message"]?.string ?? record.status["error"]?.string ?? ""
      return [event(.state, record.key, job: job, message: why.isEmpty ? state : "\(state): \(why)")]
    }
    if record.status["available"] != old["available"], let available = record.status["available"]?.bool {
      let why = BackupTarget.Status(record.status).conditions.first?.message ?? ""
      return [event(.state, record.key, job: job, message: available ? "available" : "not available: \(why)")]
    }
    return []
  }

  private func keep(_ change: OwnerChange) {
    switch change {
    case .gone(let key): resources[key] = nil
    case .changed(let record): resources[record.key] = record
    }
  }

  // MARK: Effects

  private func perform(_ action: JobAction, _ id: String) {
    switch action {
    case .persist(let notice):
      guard let notice else { break }
      note(id, notice.type == .jobFailed || notice.type == .warning ? .error : .info, notice.message)
    case .saveCheckpoint, .dropCheckpoint: break
    case .launch(let mode): launch(id, mode)
    case .send(let message): sessions[id]?.worker?.send(message.command)
    case .admit(let space): admit(id, space)
    case .release: ledger.release(id)
    case .kill(let seconds): sessions[id]?.kill(after: seconds, sleep: environment.sleep)
    case .reschedule: wanted.raise()
    }
  }

  /// A line in the job's log and the daemon's.
  private func note(_ id: String, _ level: LogLevel, _ message: String) {
    guard let record = machines[id]?.record else { return }
    log(id).append(level, message, attempt: record.job.attempt, time: environment.now())
    logger.log(
      level: level == .error ? .warning : .info, "\(message)",
      metadata: ["job": "\(id)", "kind": "\(record.job.kind.rawValue)", "owner": "\(record.job.owner)"])
  }

  func log(_ id: String) -> JobLog {
    if let log = logs[id] { return log }
    try? Folder.create(layout.job(id), permissions: 0o750)
    let log = JobLog(path: layout.log(id))
    logs[id] = log
    return log
  }

  private func admit(_ id: String, _ space: [JobPlan.Space]) {
    do {
      try ledger.admit(id, space, room: SpaceLedger.room, unwritten: unwritten)
      deliver(id) { $0.admitted() }
    } catch {
      let fault = error
      deliver(id) { $0.denied(fault) }
    }
  }

  /// What a running job will write at most from now on: what its copy has not passed yet.
  func unwritten(_ id: String) -> Int64? {
    guard let progress = sessions[id]?.progress, let total = progress.bytesTotal else { return nil }
    return total - progress.bytesDone
  }

  // MARK: Workers

  private func launch(_ id: String, _ mode: JobOrder.Mode) {
    guard let record = machines[id]?.record else { return }
    do {
      try fence(id)
      if mode == .run, record.job.kind == .sync {
        let run = try beginSync(record.job.owner.name)
        try Folder.writeDurably("\(layout.job(id))/seen", run.file)
        syncs[id] = run
      }
      let secrets = try mode == .discard ? secrets(toDiscard: record.job) : secrets(for: record.job.pipeline)
      let order = JobOrder(
        mode: mode, job: id, attempt: record.job.attempt, pipeline: record.job.pipeline, jobFolder: layout.job(id),
        pluginFolders: configuration.pluginFolders, concurrency: configuration.concurrency,
        stallSeconds: configuration.stallSeconds, hangSeconds: configuration.hangSeconds,
        checkpoint: mode == .run && record.leftovers ? try catalog.checkpoint(job: id) : nil,
        secretNames: secrets.map(\.name))
      let stream = streams.removeValue(forKey: id)
      let descriptors = stream.map { [(parent: $0.workerEnd.descriptor, child: Int32(3))] } ?? []
      let session = WorkerSession(attempt: record.job.attempt)
      sessions[id] = session
      let (events, continuation) = AsyncStream<WorkerEvent>.makeStream()
      let log = log(id)
      let now = environment.now
      let tells = record.job.kind == .sync || record.job.kind.tellsLayers
      layerNotes[id] = mode == .run && record.job.kind.tellsLayers ? LayerNotes() : nil
      session.worker = try withExtendedLifetime(stream) {
        try environment.launcher.launch(
          .order(order), secrets: secrets.map(\.bytes), descriptors: descriptors
        ) { event in
          session.heard()
          switch event {
          case .said(.progress(let progress)): session.progress = progress
          case .said(.log(let level, let message)):
            log.append(level, message, attempt: session.attempt, time: now())
          case .said(.record) where tells: continuation.yield(event)
          case .said(.record), .said(.hello): break
          case .used(let usage):
            log.append(.info, Self.text(usage), attempt: session.attempt, time: now())
          case .said: continuation.yield(event)
          case .ended:
            continuation.yield(event)
            continuation.finish()
          }
        }
      }
      Task { for await event in events { heard(event, id, session) } }
      session.watch(silence: Self.longestSilence(hangSeconds: configuration.hangSeconds), sleep: environment.sleep) {
        [weak self] seconds in await self?.silent(id, session, seconds)
      }
    } catch {
      sessions[id] = nil
      let fault = error as? Fault ?? Fault(.internalError, "could not start a worker: \(error)", retry: .transient)
      let now = environment.now()
      let random = environment.random()
      deliver(id) { $0.failed(fault) }
      deliver(id) { $0.exited("no process", now: now, random: random) }
    }
  }

  /// The worker's own watchdog is the first to see that a call hangs; this one is for workers that can't watch any more.
  private static func longestSilence(hangSeconds: Int) -> Double {
    Double(hangSeconds) + max(5, Double(hangSeconds) / 10)
  }

  private func silent(_ id: String, _ session: WorkerSession, _ seconds: Double) {
    guard sessions[id] === session else { return }
    let fault = Fault(
      .hung, "the worker said nothing for \(Int(seconds)) s, so it was killed",
      hint: "somebody or something has stopped its process, or the host has no time for it")
    deliver(id) { $0.failed(fault) }
  }

  private static func text(_ usage: ChildProcess.Usage) -> String {
    let hundredths = Int((usage.cpuSeconds * 100).rounded())
    let digits = hundredths % 100
    return "the worker used \(hundredths / 100).\(digits < 10 ? "0" : "")\(digits) s of CPU and at most "
      + "\(usage.peakMemoryBytes >> 20) MiB of memory"
  }

  /// An attempt starts only when the one before it is certainly over: a worker holds the lock as long as it lives.
  private func fence(_ id: String) throws {
    try Folder.create(layout.job(id), permissions: 0o750)
    let file = try OpenFile.open(layout.jobLock(id), .create(permissions: 0o640))
    guard try file.tryLockExclusive() else {
      throw Fault(.locked, "the worker of an earlier attempt of \(id) still runs")
    }
  }

  private func heard(_ event: WorkerEvent, _ id: String, _ session: WorkerSession) {
    let now = environment.now()
    switch event {
    case .said(.planned(let plan)): deliver(id) { $0.planned(plan) }
    case .said(.checkpoint(let checkpoint)): deliver(id) { $0.checkpoint(checkpoint) }
    case .said(.record(_, let kind, let value)):
      syncs[id]?.note(kind, value)
      layerNotes[id]?.note(kind, value)
    case .said(.finished(let result)):
      do {
        if let run = syncs.removeValue(forKey: id), outdatedJobs.contains(id) == false {
          try absorb(run, result.values)
        }
        deliver(id) { $0.finished(result, now: now) }
      } catch {
        let fault = error as? Fault ?? Fault(.internalError, "\(error)", retry: .transient)
        deliver(id) { $0.failed(fault) }
      }
    case .said(.failed(let fault)):
      // What is to be deleted and is not there is deleted.
      let isDone = fault.code == .notFound && machines[id]?.record.job.kind.removesOwner == true
      deliver(id) { isDone ? $0.finished(JobResult(), now: now) : $0.failed(fault) }
      // What a job has met, everybody else should know.
      if [.targetUnreachable, .credentialsRefused].contains(fault.code), let target = machines[id]?.record.job.target,
        machines[id]?.record.job.kind.isLook != true
      {
        probed[target] = nil
        pollTargets()
      }
    case .said(.stopped): deliver(id) { $0.stopped() }
    case .said(.discarded): deliver(id) { $0.discarded() }
    case .said, .used: break
    case .ended(let status):
      session.end()
      sessions[id] = nil
      let random = environment.random()
      deliver(id) { $0.exited(status, now: now, random: random) }
      close(id)
      changed.raise()
    }
  }

  /// Once the job is over and its worker gone, followers of its log see the end, and its folder is cleaned.
  private func close(_ id: String) {
    guard let machine = machines[id], machine.record.job.state.isFinal, !machine.isWorking else { return }
    logs.removeValue(forKey: id)?.end()
    sweepJobFolder(id)
  }

  // MARK: After the end

  private func ended(_ record: JobRecord) {
    streams[record.job.id] = nil
    layerNotes[record.job.id] = nil
    unswept.insert(record.job.id)
    close(record.job.id)
    if record.job.kind.isLook {
      let name = record.job.owner.name
      probed[name] = environment.now()
      syncs[record.job.id] = nil
      // A target that answers is listed at once; and one that has changed meanwhile is looked at again.
      let isOutdated = outdatedJobs.remove(record.job.id) != nil
      let isThere = record.job.state == .succeeded && TargetController.problem(in: record.job.result) == nil
      if isOutdated || (record.job.kind == .probe && isThere) {
        probed[name] = nil
        pollTargets()
      }
      if isThere { wakeJobs(about: record.job.owner) }
    }
    if resources[record.job.owner]?.deleting == true { continueDeletion(record.job.owner) }
    wanted.raise()
  }

  /// Jobs that wait for somebody's change are tried again: this may have been it.
  /// - Parameter code: Only those that wait since this error.
  func wakeJobs(about key: ResourceKey, after code: Fault.Code? = nil) {
    for (id, machine) in machines where !machine.record.job.state.isFinal {
      let job = machine.record.job
      if let code, job.error?.code != code { continue }
      // A Secret may be what a job waits for that was never planned.
      let wantsKey = key.kind == .secret && (job.error?.code == .keyMissing || job.error?.code == .wrongKey)
      let isConcerned =
        wantsKey || job.owner == key || job.reads.contains(key) || (key.kind == .backupTarget && job.target == key.name)
      if isConcerned { deliver(id) { $0.wake() } }
    }
  }

  func newJobID() -> String { "job-" + environment.hexadecimal(16) }

  /// A new job's row, and what it does to its owner's status.
  func newJob(
    _ kind: Job.Kind, owner: ResourceKey, planned: PlannedJob? = nil, reads: [ResourceKey] = [],
    target: String? = nil, note: String? = nil, id: String? = nil
  ) -> JobRecord {
    var record = JobRecord(
      Job(
        id: id ?? newJobID(), kind: kind, owner: owner, reads: planned?.reads ?? reads,
        pipeline: planned?.pipeline ?? Pipeline(from: [], to: []), result: planned?.inherited ?? [:],
        target: planned?.target ?? target, createdAt: environment.now()))
    record.note = note
    return record
  }
}
