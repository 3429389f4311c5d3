import DroverModel

/// What a job says about the image's backup that it works for. Pure.
enum BackupController {
  static func reflect(
    _ old: [String: JSONValue], _ record: JobRecord, progress: Job.Progress? = nil
  ) -> [String: JSONValue] {
    switch record.job.kind {
    case .backup: backup(old, record, progress)
    case .inspect: inspect(old, record)
    case .deleteBackup: delete(old, record)
    default: old
    }
  }

  private static func backup(
    _ old: [String: JSONValue], _ record: JobRecord, _ progress: Job.Progress?
  ) -> [String: JSONValue] {
    var status = BackupBackingImage.Status(old)
    let job = record.job
    status.job = job.id
    switch job.state {
    case .pending, .paused:
      if case .failed(let fault) = record.ending {
        status.state = .error
        status.error = fault.message
      } else {
        status.state = .pending
        status.error = job.error == nil && record.note == nil ? "" : record.waitingMessage
      }
    case .running:
      if record.ending == nil {
        status.state = .inProgress
        status.error = ""
      }
      if let progress { status.progress = progress.percent }
    case .succeeded:
      status = described(status, by: job.result)
      if let damaged = status.damagedBlocks, job.result["newlyUploadedDataSize"]?.int == 0 {
        // Bad blocks that were not moved aside count as present and are not written again.
        (status.state, status.progress) = (.error, 0)
        status.error =
          "\(damaged) of its blocks were damaged, and nothing was written: drover target verify --all looks again, and "
          + "moves aside what is bad"
        break
      }
      status.state = .completed
      (status.damagedAt, status.damagedBlocks) = (nil, nil)
    case .failed, .cancelled:
      status.state = .error
      status.error = job.error?.message ?? "cancelled"
    }
    return status.fields
  }

  private static func inspect(_ old: [String: JSONValue], _ record: JobRecord) -> [String: JSONValue] {
    var status = BackupBackingImage.Status(old)
    let job = record.job
    status.job = job.id
    switch job.state {
    case .pending, .running, .paused:
      // What was known of a backup before stays known while it is looked at again.
      if status.state != .completed {
        status.state = job.error == nil ? .pending : .unknown
        status.error = job.error?.message ?? ""
      }
    case .succeeded:
      let damage = status.damagedBlocks == nil ? nil : status.error
      status = described(status, by: job.result)
      status.state = job.result["state"]?.string.flatMap(BackupBackingImage.State.init(rawValue:)) ?? .completed
      status.lastSyncedAt = job.finishedAt.map(Timestamp.text)
      // Its config alone does not say that it can be restored.
      if let damage { (status.state, status.error, status.progress) = (.error, damage, 0) }
    case .failed, .cancelled:
      status.state = job.error?.code == .unfinishedBackup ? .inProgress : .unknown
      status.error = job.error?.message ?? "cancelled"
    }
    return status.fields
  }

  /// What a look at the store found of a backup; see `SyncTargetTask`.
  static func synced(_ old: [String: JSONValue], _ found: FoundBackup, now: Double) -> [String: JSONValue] {
    let state = found.fields["state"]?.string.flatMap(BackupBackingImage.State.init(rawValue:)) ?? .unknown
    let error = found.fields["error"]?.string ?? ""
    let progress = state == .completed ? 100 : 0
    let time = Timestamp.text(now)
    switch found.name {
    case .image(let image):
      let known = old.isEmpty ? BackupBackingImage.Status(backingImage: image) : BackupBackingImage.Status(old)
      var status = described(known, by: found.fields)
      status.state = state
      status.error = error
      status.progress = progress
      status.lastSyncedAt = time
      if status.backupCreatedAt != known.backupCreatedAt {
        // One that was made anew is another backup.
        (status.damagedAt, status.damagedBlocks, status.lastVerified) = (nil, nil, nil)
      } else if known.damagedBlocks != nil {
        // Its config alone does not say that it can be restored.
        (status.state, status.error, status.progress) = (.error, known.error, 0)
      }
      return status.fields
    case .backup:
      // The look tells all of it but what only this host knows.
      var status = Backup.Status(found.fields)
      status.progress = progress
      status.lastSyncedAt = time
      let known = Backup.Status(old)
      if known.backupCreatedAt == status.backupCreatedAt { status.lastVerified = known.lastVerified }
      status.pinned = known.pinned
      return status.fields
    }
  }

  /// The name of the object for a backup that was found: its own, else `NAME-TARGET`, else `NAME-` and random digits.
  static func name(
    of stored: String, target: String, random: () -> String, isFree: (String) -> Bool
  ) -> String {
    let name = stored.lowercased()
    for candidate in [name, "\(name)-\(target)"] where isFree(candidate) { return candidate }
    while true {
      let candidate = "\(name)-\(random())"
      if isFree(candidate) { return candidate }
    }
  }

  private static func delete(_ old: [String: JSONValue], _ record: JobRecord) -> [String: JSONValue] {
    var status = BackupBackingImage.Status(old)
    status.job = record.job.id
    status.error = record.job.error?.message ?? ""
    return status.fields
  }

  /// The names in a result are those of the status.
  private static func described(
    _ old: BackupBackingImage.Status, by result: [String: JSONValue]
  ) -> BackupBackingImage.Status {
    var status = old
    status.error = ""
    status.progress = 100
    status.url = result["url"]?.string ?? status.url
    status.backingImage = result["backingImage"]?.string ?? status.backingImage
    status.checksum = result["checksum"]?.string ?? status.checksum
    status.size = result["size"]?.int ?? status.size
    status.labels = result["labels"]?.object?.compactMapValues(\.string) ?? status.labels
    status.compressionMethod = result["compressionMethod"]?.string ?? status.compressionMethod
    status.secret = result["secret"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    status.secretNamespace = result["secretNamespace"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    status.backupCreatedAt = result["backupCreatedAt"]?.string ?? status.backupCreatedAt
    status.newlyUploadedDataSize = result["newlyUploadedDataSize"]?.int ?? status.newlyUploadedDataSize
    return status
  }
}
