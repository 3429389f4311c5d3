import DroverModel
import LinuxSystem
import Logging
import Planner

extension Engine {
  /// Schedules until `shutDown()` or the task's cancellation; either way running workers get their time for a last
  /// checkpoint, and none is left when this returns. To be called once.
  public func run() async throws {
    // Whoever ends it before it has begun is not surprised by an error.
    if phase == .stopping { return }
    guard phase == .open else { throw Fault(.conflict, "the engine runs already") }
    phase = .running
    await resumeDeletions()
    if let policies { Task { await policies.files(withinSeconds: 0) } }
    let outcome = await Result {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await self.scheduling() }
        group.addTask { try await self.housekeeping() }
        // Both go on until the engine stops: the first end, of whatever kind, is the end of both.
        defer { group.cancelAll() }
        try await group.next()
      }
    }
    let isUnexpected = phase == .running && !Task.isCancelled
    phase = .stopping
    // The caller's task may be cancelled, which must not cut the workers' time short.
    await Task { await stopWorkers() }.value
    changed.raise()
    if case .failure(let error) = outcome, !(error is CancellationError) { throw error }
    if isUnexpected { throw Fault(.internalError, "a part of the engine ended although nobody had asked for it") }
  }

  /// Ends `run()` gracefully. Returns at once.
  public func shutDown() {
    phase = .stopping
    wanted.raise()
  }

  // MARK: The queue

  private func scheduling() async throws {
    while phase == .running {
      let seen = wanted.generation
      deliverBacklog()
      let next = schedule()
      let pause = next.map { max(0.01, $0 - environment.now()) } ?? 3600
      await wanted.wait(past: seen, atMost: min(pause, backlog.isEmpty ? 3600 : 1), sleep: environment.sleep)
      try Task.checkCancellation()
    }
  }

  /// Starts what may start. Returns when time alone will make another job ready.
  func schedule() -> Double? {
    guard phase == .running else { return nil }
    let now = environment.now()
    var planned: [String: PlannedJob] = [:]
    let planner = Planner(facts)
    let queue = JobQueue(
      maxJobs: configuration.maxJobs, maxJobsPerTarget: configuration.maxJobsPerTarget,
      longestPauseSeconds: max(configuration.backoffMaxSeconds, configuration.probeSeconds) + 1)
    askAboutLabels(planner)
    let busy = Set(
      machines.filter { $0.value.isWorking || backlog[$0.key] != nil || askedAbout.contains($0.key) }.keys)
    let choice = queue.choose(from: machines.values.map(\.record), busy: busy, now: now) { record in
      readiness(record, planner, &planned)
    }
    for (id, fault) in choice.failed.sorted(by: { $0.key < $1.key }) {
      let random = environment.random()
      deliver(id) { $0.refuse(fault, now: now, random: random) }
    }
    for (id, note) in choice.waiting.sorted(by: { $0.key < $1.key }) { deliver(id) { $0.waits(for: note) } }
    for id in choice.start {
      let plan = planned[id]
      // One that can't be written down does not start; it stays where it was.
      do { try drive(id) { $0.start(plan, now: now) } } catch {
        logger.error("job not started: catalog write failed", metadata: ["job": "\(id)", "error": "\(error)"])
        return now + 5
      }
    }
    return choice.nextTime
  }

  private func readiness(
    _ record: JobRecord, _ planner: Planner, _ planned: inout [String: PlannedJob]
  ) -> JobQueue.Readiness {
    let job = record.job
    if job.kind.streams {
      guard let stream = streams[job.id] else { return .failed(JobMachine.interrupted(by: "its client is gone")) }
      planned[job.id] = stream.planned
      return .ready
    }
    guard let owner = resources[job.owner] else {
      return .failed(Fault(.notFound, "\(job.owner) does not exist any more"))
    }
    if let other = volumeJob(before: record, chosen: planned.keys) { return .waiting("\(other) works on its volume") }
    if let other = tendingJob(before: record) { return .waiting("\(other) works on the whole of \(job.owner)") }
    do {
      switch try plan(job.kind, owner, planner, job: job.id) {
      case .job(let plan):
        planned[job.id] = plan
        return .ready
      case .waiting(_, let reason), .awaitingContent(let reason): return .waiting(reason)
      case .nothing: return .failed(Fault(.conflict, "there is nothing to do for \(job.owner)"))
      }
    } catch {
      return .failed(error as? Fault ?? Fault(.internalError, "\(error)"))
    }
  }

  /// What a job of this kind has to do for its owner as things are now.
  func plan(_ kind: Job.Kind, _ owner: ResourceRecord, _ planner: Planner, job: String) throws -> Plan {
    let name = owner.key.name
    switch kind {
    case .backup where owner.key.kind == .backup:
      var spec = try volumeBackupSpec(owner)
      spec.labels = labels(of: job, inherited: spec.labels)
      return try planner.plan(
        volumeBackup: name, spec: spec, isAlone: machines[job]?.record.standsAlone ?? false)
    case .createVolume:
      return try planner.plan(volume: name, spec: volumeSpec(owner), status: Volume.Status(owner.status))
    case .restore where owner.key.kind == .volume:
      return try planner.plan(volume: name, spec: volumeSpec(owner), status: Volume.Status(owner.status))
    case .snapshot: return try planner.plan(snapshot: name, spec: snapshotSpec(owner))
    case .deleteSnapshot: return .job(try planner.deletion(snapshot: name, spec: snapshotSpec(owner)))
    case .deleteVolume: return .job(try planner.removal(volume: name))
    case .revert:
      guard let snapshot = machines[job]?.record.job.pipeline.from.first?.params["name"]?.string else {
        throw Fault(.internalError, "\(job) does not say to which snapshot \(owner.key) is to be reverted")
      }
      return .job(try planner.revert(volume: name, to: snapshot))
    case .backup:
      var spec = try backupSpec(owner)
      spec.labels = labels(of: job, inherited: spec.labels)
      return try planner.plan(backup: name, spec: spec)
    case .deleteBackup:
      if owner.key.kind == .backup { return .job(try volumeDeletion(of: owner)) }
      let isForced = machines[job]?.record.job.pipeline.from.first?.params["force"]?.bool ?? false
      return .job(try planner.deletion(backup: name, spec: backupSpec(owner), force: isForced))
    case .verify, .gc:
      let params = machines[job]?.record.job.pipeline.from.first?.params ?? [:]
      guard let tending = StoreTending(kind, params) else {
        throw Fault(.internalError, "the parameters of \(job) are those of no \(kind.rawValue)")
      }
      let verification = BackupTarget.Status(owner.status).verification
      return .job(try planner.tending(tending, target: name, verification))
    case .inspect: return .job(planner.inspection(of: try backupURL(owner), owner: owner.key))
    case .probe: return .job(try planner.probe(target: name))
    case .sync: return .job(try planner.sync(target: name))
    case .download, .clone, .restore, .import, .upload, .save, .export:
      return try planner.plan(image: name, uuid: BackingImage.Status(owner.status).uuid, spec: imageSpec(owner))
    }
  }

  func backupURL(_ record: ResourceRecord) throws -> ImageBackupURL {
    let spec = try backupSpec(record)
    let target = ResourceKey(.backupTarget, spec.targetName)
    return ImageBackupURL(target: try targetSpec(try existing(target)).url, image: spec.image)
  }

  // MARK: The house

  private func housekeeping() async throws {
    while phase == .running {
      await lookAtImages()
      pollTargets()
      sweepJobFolders()
      verifyTargets()
      pruneHistory()
      _ = await policies?.files(withinSeconds: 1)
      try await environment.sleep(10)
    }
  }

  /// An image whose file is gone says so, and says when it is back.
  func lookAtImages() async {
    let paths = resources.values.compactMap { record in
      record.key.kind == .backingImage && !record.deleting
        ? BackingImage.Status(record.status).path.map { (record.key, $0) } : nil
    }
    guard !paths.isEmpty else { return }
    let looks = try? await blocking {
      paths.map { key, path -> (ResourceKey, ImageController.FileState) in
        do throws(SystemError) {
          guard let status = try FileStatus.of(path) else { return (key, .absent) }
          return (key, .there(size: Int64(clamping: status.size)))
        } catch { return (key, .unreadable(error.answer)) }
      }
    }
    for (key, look) in looks ?? [] {
      guard var record = resources[key], !record.deleting else { continue }
      record.status = ImageController.look(record.status, look)
      try? update(record)
    }
    nameSecretsOfImages()
  }

  /// Writes a resource's new status, where it is one.
  func update(_ record: ResourceRecord) throws {
    guard record != resources[record.key] else { return }
    try catalog.commit([.putResource(record)] + stateEvent(record))
    resources[record.key] = record
    changed.raise()
    wanted.raise()
  }

  /// Finished jobs beyond the configured number are forgotten, the oldest first. Those of an object that is there stay
  /// while they are its last.
  private func pruneHistory() {
    if abs(environment.now() - eventsPruned) >= 3600 {
      eventsPruned = environment.now()
      try? catalog.commit([.pruneEvents(keeping: Self.eventHistory)])
    }
    let current = Set(resources.values.compactMap { $0.status["job"]?.string })
    let over = machines.values.map(\.record)
      .filter { $0.job.state.isFinal && !current.contains($0.job.id) && !$0.leftovers && sessions[$0.job.id] == nil }
      .sorted { ($0.job.finishedAt ?? 0, $0.job.id) < ($1.job.finishedAt ?? 0, $1.job.id) }
    let surplus = over.prefix(max(0, over.count - configuration.jobHistory)).map(\.job.id)
    guard !surplus.isEmpty, (try? catalog.commit(surplus.map { .deleteJob($0) })) != nil else { return }
    for id in surplus {
      machines[id] = nil
      decisions[id] = nil
      labelled.remove(id)
      try? Folder.removeTree(layout.job(id))
    }
  }

  /// Events that are kept.
  private static let eventHistory = 100_000

  // MARK: The end

  private func stopWorkers() async {
    let grace = configuration.shutdownSeconds
    for id in sessions.keys.sorted() { deliver(id) { $0.shutDown(graceSeconds: grace) } }
    // The last word, also where the catalog can't be written and nobody could be told to stop.
    let sleep = environment.sleep
    let killing = Task {
      try await sleep(grace + 2)
      for session in sessions.values { session.worker?.kill() }
    }
    defer { killing.cancel() }
    while !sessions.isEmpty { await changed.wait(past: changed.generation) }
    deliverBacklog()
  }
}

extension Result where Failure == any Error {
  init(isolation: isolated (any Actor)? = #isolation, catching body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}

extension ChangeSignal {
  /// As `wait(past:)`, but not longer than `seconds`.
  func wait(past generation: Int, atMost seconds: Double, sleep: @escaping @Sendable (Double) async throws -> Void)
    async
  {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.wait(past: generation) }
      group.addTask { try? await sleep(seconds) }
      await group.next()
      group.cancelAll()
    }
  }
}
