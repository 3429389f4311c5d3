import DroverModel

/// What a verification says of its target and of the backups in it. Pure.
enum VerificationController {
  /// The target's status after the job. A sample counts only from where the last one ended: see `StoreTending`.
  static func advanced(_ old: [String: JSONValue], _ job: Job, now: Double) -> [String: JSONValue] {
    var status = BackupTarget.Status(old)
    var verification = status.verification
    verification.damagedBackups = job.result["damagedBackups"]?.int
    switch part(of: job, verification) {
    case .none: break
    case .whole:
      (verification.cursor, verification.roundStartedAt) = (nil, nil)
      (verification.lastRunAt, verification.lastCompletedAt) = (Timestamp.text(now), Timestamp.text(now))
    case .slice(let slice, let roundStartedAt):
      verification.lastRunAt = Timestamp.text(now)
      if let end = slice.end {
        (verification.cursor, verification.roundStartedAt) = (NameSlice.digits(end), roundStartedAt)
      } else {
        (verification.cursor, verification.roundStartedAt) = (nil, nil)
        verification.lastCompletedAt = Timestamp.text(now)
      }
    }
    status.verification = verification
    var fields = old
    fields["verification"] = status.fields["verification"]
    return fields
  }

  /// The backup's status after the job found that of it. `verification` is the target's before the job ended.
  static func judged(
    _ old: [String: JSONValue], _ finding: [String: JSONValue], _ job: Job,
    _ verification: BackupTarget.Status.Verification, now: Double
  ) -> [String: JSONValue] {
    var status = BackupBackingImage.Status(old)
    // Of one that is being made or looked at its own job says the state, but not that its blocks are good.
    let isBusy = status.state == .pending || status.state == .inProgress
    let part = part(of: job, verification)
    switch finding["state"]?.string {
    case let state? where harmedStates.contains(state):
      let blocks = finding["damagedBlocks"]?.int ?? 0
      let found = (blocks: blocks, inPlace: finding["damagedInPlace"]?.int ?? blocks)
      let known = (blocks: status.damagedBlocks ?? 0, inPlace: status.damagedInPlace ?? status.damagedBlocks ?? 0)
      let seesAll = state != "unreadable" && isWhole(part, job, created: status.backupCreatedAt)
      // Who did not read all of it can't know less than what is known.
      status.damagedBlocks = seesAll ? found.blocks : max(found.blocks, known.blocks)
      status.damagedInPlace = seesAll ? found.inPlace : max(found.inPlace, known.inPlace)
      status.damagedAt = Timestamp.text(now)
      status.lastVerified = nil
      guard !isBusy else { break }
      if seesAll || found.blocks >= known.blocks || status.state != .error || status.error.isEmpty {
        status.error = finding["reason"]?.string ?? "it is damaged"
      }
      (status.state, status.progress) = (.error, 0)
    case "good":
      guard !isBusy else { break }
      if let blocks = status.damagedBlocks, blocks == 0 || isWhole(part, job, created: status.backupCreatedAt) {
        (status.state, status.error, status.progress) = (.completed, "", 100)
        (status.damagedAt, status.damagedBlocks, status.damagedInPlace) = (nil, nil, nil)
      }
      guard status.state == .completed else { break }
      status.lastVerified = lastVerified(part, job, created: status.backupCreatedAt) ?? status.lastVerified
    default: break
    }
    return status.fields
  }

  /// The same of a volume's backup, which only others make.
  static func judged(
    backup old: [String: JSONValue], _ finding: [String: JSONValue], _ job: Job,
    _ verification: BackupTarget.Status.Verification, now: Double
  ) -> [String: JSONValue] {
    var status = Backup.Status(old)
    guard status.state == .completed || status.state == .error else { return old }
    let part = part(of: job, verification)
    let isWhole = isWhole(part, job, created: status.backupCreatedAt)
    switch finding["state"]?.string {
    case let state? where harmedStates.contains(state):
      let found = finding["damagedBlocks"]?.int ?? 0
      let known = status.damagedBlocks ?? 0
      let seesAll = state != "unreadable" && isWhole
      if seesAll || found >= known || status.error.isEmpty {
        status.error = finding["reason"]?.string ?? "it is damaged"
      }
      (status.state, status.progress, status.lastVerified) = (.error, 0, nil)
      (status.damagedAt, status.damagedBlocks) = (Timestamp.text(now), seesAll ? found : max(found, known))
    case "good":
      if isWhole || status.damagedBlocks == 0 {
        (status.state, status.progress, status.error) = (.completed, 100, "")
        (status.damagedAt, status.damagedBlocks) = (nil, nil)
      }
      guard status.state == .completed else { break }
      status.lastVerified = lastVerified(part, job, created: status.backupCreatedAt) ?? status.lastVerified
    default: break
    }
    return status.fields
  }

  /// What a verification calls backups that can't be restored as they are.
  private static let harmedStates = ["damaged", "unrestorable", "unreadable"]

  /// Since when all of a good backup that was made then has been read; nil: not all of it was.
  private static func lastVerified(_ part: Part, _ job: Job, created: String?) -> String? {
    switch part {
    case .whole:
      isCovered(by: job, created: created) ? Timestamp.text(job.startedAt ?? job.createdAt) : nil
    case .slice(let slice, let start?) where slice.end == nil:
      // All of it was read in this round, if all of it was there when the round began.
      created.map { !comes(start, before: $0) } == true ? start : nil
    case .slice, .none: nil
    }
  }

  /// What is worth telling of the job beside its end; nil: nothing.
  static func warning(_ job: Job) -> String? {
    guard job.kind == .verify, job.state == .succeeded, let count = job.result["damagedBackups"]?.int, count > 0 else {
      return nil
    }
    let names = (job.result["backups"]?.array ?? []).filter {
      $0["state"]?.string.map(harmedStates.contains) ?? false
    }.compactMap { $0["name"]?.string }
    let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
    var text = "the verification found \(count) damaged backups: \(shown)"
    if let problem = job.result["repairProblem"]?.string { text += "; bad blocks are left in place: \(problem)" }
    return text
  }

  /// What the job has read.
  private enum Part {
    case none, whole
    /// With the beginning of the round that it belongs to.
    case slice(NameSlice, roundStartedAt: String?)
  }

  private static func part(of job: Job, _ verification: BackupTarget.Status.Verification) -> Part {
    let params = job.pipeline.from.first?.params ?? [:]
    guard case .verify(let scope, _, _) = StoreTending(.verify, params) else { return .none }
    switch scope {
    case .structure: return .none
    case .all: return .whole
    case .sample:
      let start = params["start"]?.string ?? ""
      guard start == verification.cursor ?? NameSlice.digits(0), let first = UInt64(start, radix: 16) else {
        return .none
      }
      let end = params["end"]?.string.flatMap { UInt64($0, radix: 16) }
      let began = first == 0 ? Timestamp.text(job.startedAt ?? job.createdAt) : verification.roundStartedAt
      let slice = NameSlice(start: first, end: end)
      return first == 0 && end == nil ? .whole : .slice(slice, roundStartedAt: began)
    }
  }

  /// Whether the job has read all blocks of a backup that was made then.
  private static func isWhole(_ part: Part, _ job: Job, created: String?) -> Bool {
    guard case .whole = part else { return false }
    return isCovered(by: job, created: created)
  }

  /// Whether a backup that was made then is in all that the job has read: an attempt that goes on does not read again
  /// what the ones before it have read.
  private static func isCovered(by job: Job, created: String?) -> Bool {
    guard job.attempt > 1, let created else { return job.attempt <= 1 }
    return !comes(Timestamp.text(job.startedAt ?? job.createdAt), before: created)
  }

  /// Times as `Timestamp` and as Longhorn writes them, which differ in fractions of a second.
  private static func comes(_ left: String, before right: String) -> Bool { left.prefix(19) < right.prefix(19) }
}
