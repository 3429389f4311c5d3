public import DroverModel
import LinuxSystem

extension Engine {
  /// The object, or the job, as it is now; running work with its progress. Throws `not-found`.
  public func resource(_ key: ResourceKey) throws -> Resource {
    if key.kind == .job { return view(try job(key.name)) }
    return view(try existing(key))
  }

  /// All that carry all of these labels, by name; jobs by age, newest first.
  public func resources(_ kind: ResourceKind, labels: [String: String] = [:]) throws -> [Resource] {
    if kind == .job {
      guard labels.isEmpty else { return [] }
      return machines.values.map(\.record.job).sorted { ($0.createdAt, $0.id) > ($1.createdAt, $1.id) }.map(view)
    }
    return resources.values
      .filter { record in record.key.kind == kind && labels.allSatisfy { record.labels[$0.key] == $0.value } }
      .sorted { $0.key.name < $1.key.name }
      .map(view)
  }

  public func describe(_ key: ResourceKey) throws -> Description {
    let object = try resource(key)
    guard key.kind != .job else {
      let job = try job(key.name)
      return Description(object: object, events: try events(of: job.owner, [key.name]).filter { $0.job == key.name })
    }
    let created = try existing(key).createdAt
    let jobs = machines.values.map(\.record.job)
      .filter { $0.createdAt >= created && ($0.owner == key || $0.reads.contains(key)) }
      .sorted { ($0.createdAt, $0.id) > ($1.createdAt, $1.id) }
    let own = jobs.filter { $0.owner == key }
    let since = Timestamp.text(created)
    return Description(
      object: object, jobs: own.map(view), events: try events(of: key, own.map(\.id)).filter { $0.time >= since },
      dependents: dependents(of: key))
  }

  private func events(of key: ResourceKey, _ jobs: [String]) throws -> [Event] {
    try catalog.events(about: key, jobs: Array(jobs.prefix(100)), limit: 200)
  }

  // MARK: Views

  func view(_ record: ResourceRecord) -> Resource {
    var record = record
    if let id = record.status["job"]?.string, let machine = machines[id], machine.record.job.state == .running,
      let progress = progress(id)
    {
      switch record.key.kind {
      case .backingImage: record.status = ImageController.reflect(record.status, machine.record, progress: progress)
      case .backupBackingImage:
        record.status = BackupController.reflect(record.status, machine.record, progress: progress)
      case .volume: record.status = VolumeController.reflect(record.status, machine.record, progress: progress)
      case .backup: record.status = VolumeBackupController.reflect(record.status, machine.record, progress: progress)
      case .snapshot, .backupTarget, .secret, .job: break
      }
    }
    return record.resource
  }

  private func view(_ job: Job) -> Resource {
    var resource = Resource(
      job: job, progress: job.state == .running ? progress(job.id) : nil, decisions: decisions(for: job))
    let record = machines[job.id]?.record
    if let note = record?.note { resource.status["message"] = .string(note) }
    if record?.ending != nil, job.state == .running { resource.status["phase"] = "removing what is left behind" }
    return resource
  }

  func progress(_ id: String) -> Job.Progress? { sessions[id]?.progress }

  /// What can't do without the object.
  func dependents(of key: ResourceKey) -> [ResourceKey] {
    var found = Set(
      machines.values.map(\.record.job)
        .filter { !$0.state.isFinal && $0.reads.contains(key) }
        .map { $0.owner == key ? ResourceKey(.job, $0.id) : $0.owner })
    switch key.kind {
    case .backupTarget:
      for record in resources.values where record.key.kind == .backupBackingImage {
        guard let spec = try? backupSpec(record), spec.targetName == key.name else { continue }
        // What only mirrors the store goes with its target, and comes back with it.
        if spec.userCreated || record.deleting { found.insert(record.key) }
      }
      for record in resources.values where record.isOwnBackup && targetName(ofBackup: record) == key.name {
        found.insert(record.key)
      }
      for job in machines.values.map(\.record.job) where !job.state.isFinal && job.target == key.name {
        if job.owner != key { found.insert(job.owner) }
      }
    case .secret:
      guard let reference = SecretReference(key) else { break }
      found.formUnion(images(needing: reference) + targets(needing: reference) + volumes(needing: reference))
    case .backingImage: found.formUnion(volumes(over: key.name))
    case .volume, .snapshot, .backupBackingImage, .backup, .job: break
    }
    return found.sorted { $0.description < $1.description }
  }

  // MARK: Streams

  /// The lines after line `line`. With `follow` the stream ends when the job is over; otherwise with the last line.
  public func jobLog(_ id: String, from line: Int, follow: Bool) throws -> AsyncThrowingStream<LogLine, any Error> {
    _ = try job(id)
    let reader = JobLogReader(path: layout.log(id), after: line)
    return AsyncThrowingStream {
      while true {
        if let next = try await reader.next() { return next }
        guard follow, let log = await self.openLog(id) else { return try await reader.next() }
        let seen = log.grown.generation
        if let next = try await reader.next() { return next }
        await log.grown.wait(past: seen)
        if Task.isCancelled { return nil }
      }
    }
  }

  /// Nil once the job is over and its log complete.
  private func openLog(_ id: String) -> JobLog? {
    guard let machine = machines[id], !machine.record.job.state.isFinal || machine.isWorking else { return nil }
    return phase == .stopping && sessions.isEmpty ? nil : log(id)
  }

  /// What came after `since`. With `follow` the stream ends with the engine; a reader that is slow holds up nobody.
  public nonisolated func events(since: Int64, follow: Bool) -> AsyncThrowingStream<Event, any Error> {
    let reader = EventReader(catalog: catalog, after: since)
    return AsyncThrowingStream {
      while true {
        let seen = self.changed.generation
        if let next = try await reader.next() { return next }
        guard follow, await !self.hasStopped, !Task.isCancelled else { return nil }
        await self.changed.wait(past: seen)
      }
    }
  }

  private var hasStopped: Bool { phase == .stopping && sessions.isEmpty }

  // MARK: Status

  public func status() async throws -> EngineStatus {
    let plugins = (try? await plugins()) ?? []
    // A script that takes its time holds up no answer.
    let hooks = await policies?.files(withinSeconds: 0.5) ?? []
    let root = layout.root
    let room = try await blocking { try SpaceLedger.room(at: root) }
    let records = machines.values.map(\.record)
    func count(_ state: Job.State) -> Int { records.count { $0.job.state == state } }
    let workers = sessions.compactMap { id, session in
      session.worker.map {
        EngineStatus.Worker(
          job: id, pid: $0.pid, attempt: session.attempt, phase: session.progress?.phase ?? "starting")
      }
    }
    let targets = resources.values.filter { $0.key.kind == .backupTarget }.map { record in
      let status = BackupTarget.Status(record.status)
      let message = status.conditions.first?.message
      return EngineStatus.Target(
        name: record.key.name, url: record.spec["backupTargetURL"]?.string ?? "", available: status.available,
        message: message?.isEmpty == false ? message : nil)
    }
    return EngineStatus(
      stateFolder: layout.root, startedAt: Timestamp.text(startedAt),
      queue: .init(
        pending: count(.pending), running: count(.running), paused: count(.paused), limit: configuration.maxJobs),
      workers: workers.sorted { $0.job < $1.job }, targets: targets.sorted { $0.name < $1.name }, hooks: hooks,
      plugins: plugins,
      freeBytes: room.freeBytes, reservedBytes: ledger.promised(on: room.device, unwritten: unwritten))
  }
}
