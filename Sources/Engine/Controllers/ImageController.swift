import DroverModel

/// What a job says about the image that it works for. Pure.
enum ImageController {
  /// `status` after the job came to be as it is; `progress` only where it runs now.
  static func reflect(
    _ old: [String: JSONValue], _ record: JobRecord, progress: Job.Progress? = nil
  ) -> [String: JSONValue] {
    guard record.job.kind.writesOwner else { return old }
    var status = BackingImage.Status(old)
    let job = record.job
    status.job = job.id
    switch job.state {
    case .pending, .paused:
      if case .failed(let fault) = record.ending {
        status.state = .failed
        status.message = fault.message
      } else {
        status.state = .pending
        status.message = record.waitingMessage
      }
    case .running:
      let moves = progress.map { $0.bytesDone > 0 } ?? false
      status.state = record.ending == nil ? (moves ? .inProgress : .starting) : status.state
      status.message = progress?.phase ?? ""
      if let progress { status.progress = progress.percent }
    case .succeeded:
      status = ready(status, job.result)
    case .failed:
      status.state = .failed
      status.message = job.error?.message ?? "failed"
    case .cancelled:
      status.state = .failed
      status.message = "cancelled"
    }
    return status.fields
  }

  private static func ready(_ old: BackingImage.Status, _ result: [String: JSONValue]) -> BackingImage.Status {
    var status = old
    status.state = .ready
    status.message = ""
    status.progress = 100
    status.checksum = result["checksum"]?.string ?? status.checksum
    status.size = result["size"]?.int ?? status.size
    status.virtualSize = result["virtualSize"]?.int ?? status.size
    status.realSize = result["realSize"]?.int ?? status.realSize
    status.format = result["format"]?.string ?? status.format
    status.path = result["path"]?.string ?? status.path
    // Whoever wrote the file has looked at its header.
    status.encrypted = result["encrypted"]?.bool ?? false
    status.luks = status.encrypted ? result["luks"]?.object : nil
    return status
  }

  /// Which Secret opens an image that is ready: the one in its spec; else the one that its source names, if it is there.
  static func named(
    _ old: [String: JSONValue], _ own: SecretReference?, _ result: [String: JSONValue],
    isThere: (SecretReference) -> Bool
  ) -> [String: JSONValue] {
    var status = BackingImage.Status(old)
    status.secretReference = own
    guard own == nil, status.encrypted, let name = result["secret"]?.string, !name.isEmpty else { return status.fields }
    let reference = SecretReference(namespace: result["secretNamespace"]?.string, name: name)
    if isThere(reference) {
      status.secretReference = reference
      status.message = ""
    } else {
      status.message =
        "it is encrypted with the secret \(reference), which does not exist here; it is taken over when it does"
    }
    return status.fields
  }

  /// What a look at the file says of an image that is ready, or was: it may be gone for now.
  static func look(_ old: [String: JSONValue], _ file: FileState) -> [String: JSONValue] {
    var status = BackingImage.Status(old)
    guard status.state == .ready || status.state == .unknown, let path = status.path else { return old }
    switch file {
    case .there(let size) where status.state == .ready && size == status.size: return old
    case .there(let size) where status.size == nil || size == status.size:
      status.state = .ready
      status.message = ""
    case .there(let size):
      status.state = .unknown
      status.message = "\(path) has \(size) bytes, not the \(status.size ?? 0) that it had"
    case .absent:
      status.state = .unknown
      status.message = "\(path) is not there"
    case .unreadable(let answer):
      status.state = .unknown
      status.message = "could not look at \(path): \(answer)"
    }
    return status.fields
  }

  enum FileState: Sendable, Hashable {
    case there(size: Int64)
    case absent
    case unreadable(String)
  }
}

extension JobRecord {
  /// Why the job does not run, for people.
  var waitingMessage: String {
    if job.state == .paused { return "paused" }
    if let note { return note }
    guard let error = job.error else { return "queued" }
    return waitsForChange ? "waits for a change: \(error.message)" : "will be tried again: \(error.message)"
  }
}
