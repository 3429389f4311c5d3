import DroverModel

/// What a job says about the volume that it works for. Pure.
enum VolumeController {
  /// `status` after the job came to be as it is; `progress` only where it runs now.
  static func reflect(
    _ old: [String: JSONValue], _ record: JobRecord, progress: Job.Progress? = nil
  ) -> [String: JSONValue] {
    var status = Volume.Status(old)
    status.job = record.job.id
    switch record.job.kind {
    case .createVolume, .restore: make(&status, record, progress)
    case .deleteVolume: delete(&status, record)
    case .revert: revert(&status, record, progress)
    default: return old
    }
    return status.fields
  }

  private static func make(_ status: inout Volume.Status, _ record: JobRecord, _ progress: Job.Progress?) {
    let job = record.job
    switch job.state {
    case .pending, .paused:
      if case .failed(let fault) = record.ending { return fail(&status, fault.message) }
      begin(&status, job)
      status.message = record.waitingMessage
    case .running:
      guard record.ending == nil else { break }
      begin(&status, job)
      status.message = progress?.phase ?? ""
      if let progress { status.progress = progress.percent }
    case .succeeded:
      status.state = .detached
      status.robustness = .healthy
      (status.progress, status.message) = (100, "")
      let params = (job.pipeline.to.last ?? job.pipeline.from.first)?.params ?? [:]
      status.path = params["folder"]?.string ?? status.path
      status.size = params["size"]?.int ?? status.size
      status.backingImage = job.result["backingImage"]?.string
      status.encrypted = job.result["encrypted"]?.bool ?? status.encrypted
      status.secret = job.result["secret"]?.string
      status.secretNamespace = job.result["secretNamespace"]?.string
    case .failed: fail(&status, job.error?.message ?? "failed")
    case .cancelled: fail(&status, "cancelled")
    }
  }

  private static func begin(_ status: inout Volume.Status, _ job: Job) {
    status.state = job.kind == .restore ? .restoring : .creating
    status.robustness = .unknown
  }

  private static func fail(_ status: inout Volume.Status, _ message: String) {
    status.state = .detached
    status.robustness = .faulted
    status.message = message
    status.progress = 0
  }

  private static func delete(_ status: inout Volume.Status, _ record: JobRecord) {
    switch record.job.state {
    case .pending, .running, .paused:
      status.state = .deleting
      status.message = record.job.state == .running ? "" : record.waitingMessage
    case .succeeded: break
    case .failed, .cancelled:
      // Some of its files may be gone.
      status.state = .detached
      status.robustness = .unknown
      status.message = "it could not be deleted: \(record.job.error?.message ?? "cancelled")"
    }
  }

  private static func revert(_ status: inout Volume.Status, _ record: JobRecord, _ progress: Job.Progress?) {
    switch record.job.state {
    case .pending, .paused: status.message = "to be reverted: \(record.waitingMessage)"
    case .running: status.message = progress?.phase ?? "being reverted"
    case .succeeded: status.message = ""
    case .failed, .cancelled: status.message = "not reverted: \(record.job.error?.message ?? "cancelled")"
    }
  }
}

/// What a job says about a snapshot. Pure.
enum SnapshotController {
  static func reflect(_ old: [String: JSONValue], _ record: JobRecord) -> [String: JSONValue] {
    var status = Snapshot.Status(old)
    let job = record.job
    status.job = job.id
    switch (job.kind, job.state) {
    case (.snapshot, .succeeded):
      status.readyToUse = true
      status.userCreated = true
      status.error = ""
      if status.creationTime == nil { status.creationTime = job.finishedAt.map(Timestamp.text) }
    case (.snapshot, .failed), (.snapshot, .cancelled):
      status.readyToUse = false
      status.error = job.error?.message ?? "cancelled"
    case (.snapshot, _):
      if case .failed(let fault) = record.ending { status.error = fault.message } else { status.error = "" }
    case (.deleteSnapshot, .failed), (.deleteSnapshot, .cancelled):
      status.error = "it could not be deleted: \(job.error?.message ?? "cancelled")"
    default: break
    }
    return status.fields
  }

  /// What the volume's stage says of it.
  static func told(_ old: [String: JSONValue], _ fields: [String: JSONValue]) -> [String: JSONValue] {
    var status = Snapshot.Status(old)
    status.readyToUse = true
    status.error = ""
    status.creationTime = fields["created"]?.string ?? status.creationTime
    status.size = fields["size"]?.int ?? status.size
    status.parent = fields["parent"]?.string ?? ""
    status.children = fields["children"]?.array?.compactMap(\.string).sorted() ?? []
    status.userCreated = fields["userCreated"]?.bool ?? status.userCreated
    status.markRemoved = fields["removed"]?.bool ?? false
    if let labels = fields["labels"]?.object { status.labels = labels.compactMapValues(\.string) }
    return status.fields
  }
}
