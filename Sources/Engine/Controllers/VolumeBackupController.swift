import DroverModel

/// What a job says about the volume's backup that it works for. Pure.
enum VolumeBackupController {
  static func reflect(
    _ old: [String: JSONValue], _ record: JobRecord, progress: Job.Progress? = nil
  ) -> [String: JSONValue] {
    var status = Backup.Status(old)
    let job = record.job
    switch job.kind {
    case .backup: break
    case .deleteBackup:
      status.job = job.id
      status.error = job.error?.message ?? status.error
      return status.fields
    default: return old
    }
    status.job = job.id
    switch job.state {
    case .pending, .paused:
      if case .failed(let fault) = record.ending {
        (status.state, status.error) = (.error, fault.message)
      } else {
        status.state = .pending
        status.error = job.error == nil && record.note == nil ? "" : record.waitingMessage
      }
    case .running:
      if record.ending == nil { (status.state, status.error) = (.inProgress, "") }
      if let progress { status.progress = progress.percent }
    case .succeeded: status = described(status, by: job.result)
    case .failed, .cancelled:
      status.state = .error
      status.error = job.error?.message ?? "cancelled"
    }
    return status.fields
  }

  /// The names in a result are those of the status, but the size, which is there that of the copy.
  private static func described(_ old: Backup.Status, by result: [String: JSONValue]) -> Backup.Status {
    var status = Backup.Status(result)
    status.state = .completed
    status.error = ""
    status.progress = 100
    status.size = result["backupSize"]?.int
    status.backupTargetName = old.backupTargetName
    status.pinned = old.pinned
    status.job = old.job
    return status
  }
}
