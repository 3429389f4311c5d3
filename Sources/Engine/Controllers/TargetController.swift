import DroverModel

/// What a look at a store says about its target. Pure.
enum TargetController {
  static func reflect(_ old: [String: JSONValue], _ record: JobRecord, now: Double) -> [String: JSONValue] {
    if record.job.kind == .verify, record.job.state == .succeeded {
      return VerificationController.advanced(old, record.job, now: now)
    }
    guard record.job.kind.isLook else { return old }
    if record.job.state == .succeeded {
      return probed(old, problem(in: record.job.result), missing: missing(in: record.job.result), now: now)
    }
    return record.job.error.map { probed(old, $0, now: now) } ?? old
  }

  /// Whether the stage `sync-target` found nothing at all where backups were known; nil where it did not look.
  static func missing(in answer: [String: JSONValue]) -> Bool? { answer["vanished"]?.bool }

  /// Why the store can't be used, by what the stages `probe-target` and `sync-target` answered; nil where it can. To the stage that is an
  /// answer like the other: its task has succeeded.
  static func problem(in answer: [String: JSONValue]) -> Fault? {
    guard answer["available"]?.bool != true else { return nil }
    let code = answer["code"]?.string.map(Fault.Code.init(rawValue:)) ?? .targetUnreachable
    let reason = answer["reason"]?.string ?? "the look at the store gave no reason"
    return Fault(code, reason, hint: answer["hint"]?.string)
  }

  /// Somebody says that the target has changed: what was found at the last look may be otherwise now, and nobody is told
  /// of it before the next one.
  static func applied(_ old: [String: JSONValue]) -> [String: JSONValue] {
    var status = BackupTarget.Status(old)
    status.conditions = []
    return status.fields
  }

  /// - Parameters:
  ///   - fault: Why the store can't be used; nil where it can.
  ///   - missing: Nothing is there where backups were known; nil where nobody looked for them.
  static func probed(
    _ old: [String: JSONValue], _ fault: Fault?, missing: Bool? = nil, now: Double
  ) -> [String: JSONValue] {
    var status = BackupTarget.Status(old)
    let time = Timestamp.text(now)
    let before = status.conditions.first
    var condition = BackupTarget.Status.Condition(
      status: fault != nil, reason: fault?.code.rawValue ?? "", message: fault?.message ?? "")
    condition.lastProbeTime = time
    condition.lastTransitionTime =
      before?.status == condition.status ? before?.lastTransitionTime ?? time : time
    status.available = fault == nil
    let others = status.conditions.dropFirst()
    switch missing {
    case nil: status.conditions = [condition] + others
    case false?: status.conditions = [condition]
    case true?:
      var empty = BackupTarget.Status.Condition(
        type: emptyType, status: true, reason: "store-empty",
        message: "the store holds nothing at all, but backups in it are known; none of them is forgotten. Is its file "
          + "system mounted? If the backups are gone for good, drover backup delete NAME --force forgets them")
      empty.lastProbeTime = time
      empty.lastTransitionTime = others.first { $0.type == emptyType }?.lastTransitionTime ?? time
      status.conditions = [condition, empty]
    }
    if fault == nil, missing != nil { status.lastSyncedAt = time }
    return status.fields
  }

  private static let emptyType = "Empty"
}
