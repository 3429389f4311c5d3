import Backupstore
import DroverModel
import StageKit
import StoreStage

/// `verify-target`: reads a store in place and tells which backups can be restored.
enum VerifyTargetTask: Stage {
  static let name = "verify-target"
  static let summary = "read a backup target in place, and tell which backups are good"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = [
    "target": Parameter(required: true, "URL of the backup target"),
    "scope": Parameter(required: true, "structure, slice or all"),
    "share": Parameter("of a slice: of all names, for the record"),
    "start": Parameter("of a slice: the first 16 hexadecimal digits of the first block's name"),
    "end": Parameter("of a slice: those of the first name that is no more in it; without it, it goes to the end"),
    "repair": Parameter("move bad blocks aside, so that the next backup writes them again (the default)"),
    "bytesPerSecond": Parameter("of objects, at most"),
  ]

  private struct Params: Decodable {
    var target: String
    var scope: String
    var start: String?
    var end: String?
    var repair: Bool?
    var bytesPerSecond: Double?
  }

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try request.params(as: Params.self)
    _ = try scope(params)
    return Plan(lock: "the blocks in \(try StoreURL(params.target)), for deletion, if any are bad")
  }

  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    let target = try StoreURL(params.target)
    var options = StoreVerification.Options(scope: try scope(params))
    options.repairs = params.repair ?? true
    options.threads = max(1, request.concurrency)
    options.bytesPerSecond = params.bytesPerSecond.flatMap { $0 > 0 ? $0 : nil }
    options.journal = "\(request.jobFolder)/verify.progress"
    let session = StoreSession(
      store: try request.openStore(target), observer: HostObserver(host: host),
      lockJournal: LockJournal(path: "\(request.jobFolder)/verify.locks"), timing: BackupStage.timing)
    let report = try StoreVerification(options, session).run()
    try host.emit("result", VerificationRecord(report, target: target.description, scope: params.scope))
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    let target = try StoreURL(try request.params(as: Params.self).target)
    try LockJournal(path: "\(request.jobFolder)/verify.locks").removeLocks(from: try request.openStore(target))
  }

  private static func scope(_ params: Params) throws -> VerificationScope {
    switch params.scope {
    case "structure": return .structure
    case "all": return .all
    case "slice":
      guard let start = UInt64(params.start ?? "", radix: 16) else {
        throw StageError("invalid", "a slice needs its start, sixteen hexadecimal digits")
      }
      guard let text = params.end else { return .slice(NameSlice(start: start, end: nil)) }
      guard let end = UInt64(text, radix: 16), end > start else {
        throw StageError("invalid", "the slice's end \(text.debugDescription) does not come after its start")
      }
      return .slice(NameSlice(start: start, end: end))
    default:
      throw StageError(
        "invalid", "the scope \(params.scope.debugDescription) is not known", hint: "use structure, slice or all")
    }
  }
}

/// `collect-target`: removes the blocks that no backup of a store needs.
enum CollectTargetTask: Stage {
  static let name = "collect-target"
  static let summary = "remove the blocks of a backup target that no backup needs"
  static let roles: Roles = .task
  static let params: [String: Parameter]? = [
    "target": Parameter(required: true, "URL of the backup target"),
    "dryRun": Parameter("count them only"),
  ]

  private struct Params: Decodable {
    var target: String
    var dryRun: Bool?
  }

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let target = try StoreURL(try request.params(as: Params.self).target)
    return Plan(lock: "the blocks in \(target), for deletion")
  }

  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    let target = try StoreURL(params.target)
    let session = StoreSession(
      store: try request.openStore(target), observer: HostObserver(host: host),
      lockJournal: LockJournal(path: "\(request.jobFolder)/collect.locks"), timing: BackupStage.timing)
    let pools = try StoreCollection.run(
      dryRun: params.dryRun ?? false, threads: max(1, request.concurrency), session)
    let record = CollectionRecord(pools, target: target.description, dryRun: params.dryRun ?? false)
    let refused = pools.filter(\.isRefused)
    guard let first = refused.first else { return try host.emit("result", record) }
    var message = "unreferenced blocks of \(first.pool) in \(target) are kept: \(first.kept ?? "")"
    if refused.count > 1 { message += "; the same goes for \(refused.count - 1) others" }
    if record.removedBlocks > 0 {
      message += "; elsewhere in it \(record.removedBlocks) blocks were \(record.dryRun ? "found" : "removed")"
    }
    throw StageError(
      "conflict", message,
      hint: "nothing is removed while anything is in doubt; mend or delete what is named, then try again")
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    let target = try StoreURL(try request.params(as: Params.self).target)
    try LockJournal(path: "\(request.jobFolder)/collect.locks").removeLocks(from: try request.openStore(target))
  }
}
