extension Resource {
  /// A job as the API shows it, with `progress` where it runs, and with what policies decided for it.
  public init(job: Job, progress: Job.Progress? = nil, decisions: [PolicyDecision] = []) {
    self.init(
      apiVersion: ResourceDocument.apiVersion, kind: ResourceKind.job.manifestName,
      metadata: .init(name: job.id, creationTimestamp: Timestamp.text(job.createdAt)),
      status: job.status(progress: progress, decisions: decisions))
  }
}

extension Job {
  /// `status` of a Job. Times RFC 3339 in UTC, sizes in bytes.
  func status(progress: Progress?, decisions: [PolicyDecision]) -> [String: JSONValue] {
    let percent = state == .succeeded ? 100 : progress?.percent ?? 0
    return present([
      "state": .string(state.rawValue), "type": .string(kind.rawValue), "progress": .int(Int64(percent)),
      "phase": .of(progress?.phase), "bytesDone": .of(progress?.bytesDone ?? copied),
      "bytesTotal": .of(progress?.bytesTotal ?? result["size"]?.int),
      "bytesPerSecond": .of(progress.map { Int64($0.bytesPerSecond) }),
      "etaSeconds": .of(progress?.etaSeconds.map { Int64($0.rounded(.up)) }),
      "stalledSeconds": .of(progress.map { Int64($0.stalledSeconds) }),
      "attempt": .int(Int64(attempt)), "error": error.map { .object($0.fields) } ?? .null,
      "owner": ["kind": .string(owner.kind.rawValue), "name": .string(owner.name)],
      "target": .of(target), "pipeline": pipeline.json, "result": .object(result),
      "decisions": .array(decisions.map(\.json)),
      "createdAt": .string(Timestamp.text(createdAt)), "startedAt": .of(startedAt.map(Timestamp.text)),
      "finishedAt": .of(finishedAt.map(Timestamp.text)),
      "runAfter": .of(state == .pending ? runAfter.map(Timestamp.text) : nil),
    ])
  }

  private var copied: Int64? { state == .succeeded ? result["size"]?.int : nil }
}

extension PolicyDecision {
  var json: JSONValue {
    [
      "point": .string(point.rawValue), "script": .string(script), "digest": .string(digest), "output": output,
      "reason": .string(reason), "fallback": .bool(fallback), "warning": .of(warning),
    ]
  }
}

extension Fault {
  var fields: [String: JSONValue] {
    present([
      "code": .string(code.rawValue), "message": .string(message), "hint": .of(hint),
      "retry": .string(retry.rawValue),
    ])
  }
}

extension Pipeline {
  /// For showing: the stages in order, with their parameters.
  var json: JSONValue {
    .object(
      present([
        "from": .array(from.map(\.json)), "to": .array(to.map(\.json)), "expectedChecksum": .of(expectedChecksum),
        "concurrency": .of(concurrency.map(Int64.init)),
        "secrets": secrets.isEmpty ? .null : .array(secrets.map(\.json)),
      ]))
  }
}

extension Pipeline.SecretUse {
  var json: JSONValue {
    ["stage": .int(Int64(stage)), "name": .string(name), "secret": .string("\(secret)"), "key": .string(key)]
  }
}

extension Pipeline.Stage {
  var json: JSONValue {
    ["stage": .string(stage), "role": .string(role.rawValue), "params": .object(params)]
  }
}
