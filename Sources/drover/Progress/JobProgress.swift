import DroverModel

/// What a job's `status` says of how far it is.
struct JobProgress {
  var id: String
  var owner: String
  var state: String
  var phase: String?
  var percent: Int
  var bytesDone: Int64?
  var bytesTotal: Int64?
  var rate: Int64?
  var etaSeconds: Int64?
  var attempt: Int
  var error: Fault?
  /// Whether it makes a pause before its next attempt, rather than begin it as soon as it may.
  var pauses: Bool

  init(_ job: Resource) {
    let status = job.status
    id = job.metadata.name
    owner = "\(status["owner"]?["kind"]?.string ?? "?")/\(status["owner"]?["name"]?.string ?? "?")"
    state = status["state"]?.string ?? "unknown"
    phase = status["phase"]?.string
    percent = status["progress"]?.int.map(Int.init) ?? 0
    bytesDone = status["bytesDone"]?.int
    bytesTotal = status["bytesTotal"]?.int
    rate = status["bytesPerSecond"]?.int
    etaSeconds = status["etaSeconds"]?.int
    attempt = status["attempt"]?.int.map(Int.init) ?? 0
    error = status["error"].flatMap(Fault.init(job:))
    pauses = status["runAfter"]?.string != nil
  }
}

extension Fault {
  /// A job's `error` in its status.
  init?(job error: JSONValue) {
    guard let code = error["code"]?.string else { return nil }
    self.init(
      Fault.Code(rawValue: code), error["message"]?.string ?? code, hint: error["hint"]?.string,
      retry: error["retry"]?.string.flatMap(Retry.init(rawValue:)))
  }
}
