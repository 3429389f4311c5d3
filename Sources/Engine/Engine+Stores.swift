public import DroverModel
import Logging
import Planner

// Whole stores: verifying, collecting, pinning.

extension Engine {
  /// Queues a job that reads a store in place or collects it. Throws `not-found` for a target that is not there.
  public func tend(target name: String, _ tending: StoreTending, by caller: Caller) throws -> Resource {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let key = ResourceKey(.backupTarget, name)
    let record = try existing(key)
    guard !record.deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    let verification = BackupTarget.Status(record.status).verification
    let planned = try Planner(facts).tending(tending, target: name, verification)
    let job = newJob(tending.kind, owner: key, planned: planned)
    let id = job.job.id
    try catalog.commit([
      .putJob(job), event("asked", key, job: id, message: "\(tending.kind.rawValue)\(caller.suffix)"),
    ])
    machines[id] = machine(job)
    changed.raise()
    wanted.raise()
    return try resource(ResourceKey(.job, id))
  }

  /// Protects a backup from deletion, or ends that. Throws `not-found`.
  public func pin(_ key: ResourceKey, _ pinned: Bool, by caller: Caller) throws -> Resource {
    guard key.kind == .backupBackingImage || key.kind == .backup else {
      throw Fault(.invalid, "\(key) can't be pinned", hint: "backups can")
    }
    var record = try existing(key)
    guard !record.deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    guard record.isPinned != pinned else { return view(record) }
    record.status["pinned"] = pinned ? true : nil
    try catalog.commit([
      .putResource(record), event(pinned ? "pinned" : "unpinned", key, message: "by hand\(caller.suffix)"),
    ])
    resources[key] = record
    changed.raise()
    return view(record)
  }

  /// The older job on the same store that this one waits for; nil: it may start.
  func tendingJob(before record: JobRecord) -> String? {
    guard record.job.kind.tendsStore else { return nil }
    return machines.values.filter { other in
      let job = other.record.job
      guard job.id != record.job.id, job.kind.tendsStore, job.owner == record.job.owner else { return false }
      if other.isWorking { return true }
      let isOlder = (job.createdAt, job.id) < (record.job.createdAt, record.job.id)
      return isOlder && job.state == .pending
    }.map(\.id).min()
  }

  /// What a verification that has just succeeded says of the backups that Drover knows in its target.
  func judged(by record: JobRecord) -> [ResourceRecord] {
    let job = record.job
    guard job.kind == .verify, job.state == .succeeded, let target = resources[job.owner] else { return [] }
    let verification = BackupTarget.Status(target.status).verification
    var findings: [StoredName: [String: JSONValue]] = [:]
    for finding in job.result["backups"]?.array ?? [] {
      guard let name = finding["name"]?.string else { continue }
      if finding["kind"]?.string == "BackupBackingImage" {
        findings[.image(name)] = finding.object
      } else if let volume = finding["volume"]?.string {
        findings[.backup(name, volume: volume)] = finding.object
      }
    }
    return resources.values.compactMap { old in
      guard !old.deleting, let name = storedName(of: old, in: job.owner.name), let finding = findings[name] else {
        return nil
      }
      var new = old
      new.status =
        switch name {
        case .image:
          VerificationController.judged(old.status, finding, job, verification, now: environment.now())
        case .backup:
          VerificationController.judged(backup: old.status, finding, job, verification, now: environment.now())
        }
      return new == old ? nil : new
    }
  }

  /// What the backup is called in the store; nil for what is no backup in that target.
  private func storedName(of record: ResourceRecord, in target: String) -> StoredName? {
    switch record.key.kind {
    case .backupBackingImage:
      guard let spec = try? backupSpec(record), spec.targetName == target else { return nil }
      return .image(spec.image)
    case .backup:
      guard record.spec["backupTargetName"]?.string == target, let name = record.spec["backupName"]?.string,
        let volume = record.spec["volumeName"]?.string
      else { return nil }
      return .backup(name, volume: volume)
    default: return nil
    }
  }

  // MARK: By the calendar

  /// So many parts make a round.
  private static let parts = 30.0

  /// Starts the verification of the next part of each target whose time has come, so that each block is read once in
  /// `verifyEveryDays`. Who fell behind, since the daemon did not run, takes larger parts.
  func verifyTargets() {
    guard configuration.verifyEveryDays > 0 else { return }
    let round = Double(configuration.verifyEveryDays) * 86400
    let now = environment.now()
    for record in resources.values where record.key.kind == .backupTarget && !record.deleting {
      let status = BackupTarget.Status(record.status)
      let jobs = machines.values.map(\.record.job).filter { $0.kind == .verify && $0.owner == record.key }
      guard status.available, jobs.allSatisfy(\.state.isFinal) else { continue }
      // A job that failed counts as well: it is not repeated at once.
      let last = max(
        status.verification.lastRunAt.flatMap { Timestamp.parse($0) } ?? record.createdAt,
        jobs.map(\.createdAt).max() ?? 0)
      // The clock may have been set back.
      let elapsed = abs(now - last)
      guard elapsed >= round / Self.parts else { continue }
      let share = min(0.25, max(1 / Self.parts, elapsed / round))
      do { _ = try tend(target: record.key.name, .verify(.sample(share), repair: true), by: .daemon) } catch {
        logger.error("verification not queued", metadata: ["target": "\(record.key.name)", "error": "\(error)"])
      }
    }
  }
}

extension ResourceRecord {
  /// Whether nobody may delete it before it is unpinned.
  var isPinned: Bool { status["pinned"]?.bool ?? false }
}
