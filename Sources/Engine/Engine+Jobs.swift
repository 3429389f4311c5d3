public import DroverModel

// What people ask of jobs. Who asked goes into the event log.

extension Engine {
  /// Running: ends within seconds and leaves nothing. Waiting: at once.
  public func cancel(job id: String, by caller: Caller) throws -> Resource {
    try asked("cancel", id, caller) { try $0.cancel(now: $1) }
  }

  /// Makes a job that failed or was cancelled pending again, and one that waits go at once.
  public func retry(job id: String, by caller: Caller) throws -> Resource {
    let job = try job(id)
    if job.kind.writesOwner {
      guard let owner = resources[job.owner] else {
        throw Fault(.conflict, "\(id) can't be retried: \(job.owner) does not exist any more")
      }
      if owner.deleting, !job.kind.removesOwner {
        throw Fault(.conflict, "\(id) can't be retried: \(job.owner) is being deleted")
      }
      if let later = lastWriter(of: job.owner), later.id != id {
        throw Fault(
          .conflict, "\(id) can't be retried: \(later.id) came after it for \(job.owner)",
          hint: later.state.isFinal ? "drover job retry \(later.id)" : nil)
      }
    }
    return try asked("retry", id, caller) { machine, _ in try machine.retry() }
  }

  /// A running job writes a checkpoint and ends its worker; it goes on with `resume`.
  public func pause(job id: String, by caller: Caller) throws -> Resource {
    try asked("pause", id, caller) { machine, _ in try machine.pause() }
  }

  public func resume(job id: String, by caller: Caller) throws -> Resource {
    try asked("resume", id, caller) { machine, _ in try machine.resume() }
  }

  private func asked(
    _ verb: String, _ id: String, _ caller: Caller,
    _ event: @Sendable (inout JobMachine, Double) throws -> [JobAction]
  ) throws -> Resource {
    let owner = try job(id).owner
    guard backlog[id] == nil else {
      throw Fault(.internalError, "the catalog can't be written at the moment", hint: "see the daemon's log")
    }
    let now = environment.now()
    let extra = caller.uid == nil ? [] : [self.event("asked", owner, job: id, message: "\(verb)\(caller.suffix)")]
    try drive(id, with: extra) { try event(&$0, now) }
    return try resource(ResourceKey(.job, id))
  }

  func job(_ id: String) throws -> Job {
    guard let machine = machines[id] else {
      throw Fault(.notFound, "job/\(id) does not exist", hint: "drover job list lists what there is")
    }
    return machine.record.job
  }

  /// The newest job that writes the resource.
  func lastWriter(of key: ResourceKey) -> Job? {
    machines.values.map(\.record.job).filter { $0.owner == key && $0.kind.writesOwner }
      .max { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }

  /// Jobs of the resource that are not over, oldest first.
  func unfinishedJobs(of key: ResourceKey) -> [Job] {
    machines.values.map(\.record.job).filter { $0.owner == key && !$0.state.isFinal }
      .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
  }
}
