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
      if let damaged = status.damagedBlocks {
        // What was missing is there again; a bad block that lies in place counts as present and is not written.
        let inPlace = status.damagedInPlace ?? damaged
        guard inPlace == 0 else {
          (status.state, status.progress, status.error) = (.error, 0, "")
          (status.damagedBlocks, status.damagedInPlace) = (inPlace, inPlace)
          status.error = damage(of: status) ?? ""
          break
        }
      }
      (status.state, status.error) = (.completed, "")
      (status.damagedAt, status.damagedBlocks, status.damagedInPlace) = (nil, nil, nil)
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
      if status.state != .completed && status.damagedBlocks == nil {
        status.state = job.error == nil ? .pending : .unknown
        status.error = job.error?.message ?? ""
      }
    case .succeeded:
      let damage = damage(of: status)
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

  /// What a verification found wrong with it, or that it did; nil: nothing is known against it.
  private static func damage(of status: BackupBackingImage.Status) -> String? {
    guard let blocks = status.damagedBlocks else { return nil }
    if status.state == .error, !status.error.isEmpty { return status.error }
    let inPlace = status.damagedInPlace ?? blocks
    let what =
      inPlace > 0 ? "\(inPlace) bad blocks of it lie in place and are not written again" : "it was found damaged"
    return "\(what): drover target verify --all looks again, and moves aside what is bad"
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
        // One that was made anew is another backup, but it may be made of the bad blocks that lie in place.
        status.lastVerified = nil
        if (known.damagedInPlace ?? known.damagedBlocks ?? 0) == 0 {
          (status.damagedAt, status.damagedBlocks, status.damagedInPlace) = (nil, nil, nil)
        }
      }
      // Its config alone does not say that it can be restored.
      if status.damagedBlocks != nil {
        (status.state, status.error, status.progress) = (.error, damage(of: known) ?? "", 0)
      }
      return status.fields
    case .backup:
      // The look tells all of it but what only this host knows.
      var status = Backup.Status(found.fields)
      status.progress = progress
      status.lastSyncedAt = time
      let known = Backup.Status(old)
      if known.backupCreatedAt == status.backupCreatedAt {
        status.lastVerified = known.lastVerified
        (status.damagedAt, status.damagedBlocks) = (known.damagedAt, known.damagedBlocks)
        // Its config alone does not say that it can be restored.
        if status.damagedBlocks != nil { (status.state, status.error, status.progress) = (.error, known.error, 0) }
      }
      status.pinned = known.pinned
      status.job = known.job
      status.volumeSize = known.volumeSize
      status.backupTargetName = known.backupTargetName
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
