import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

/// A few images taken through everything that Drover does, on a daemon and workers that die on the way; in the end all
/// must be as if nothing had happened.
///
/// Each item is downloaded, cloned, backed up under the name and the labels that a policy gives, restored and uploaded,
/// and everything is deleted again.
final class KillRound {
  enum Kind: String, CaseIterable { case download, clone, backup, restore, upload, deletion }

  struct Counts {
    var rounds = 0
    var faults = 0
    var killedAtRandom = 0
    var daemonStarts = 0
    var attempts = 0
    var jobs = 0
    var images = 0
    var backups = 0
    /// Of policies, not those where the built-in answer stood in.
    var decisions = 0

    static func += (sum: inout Counts, more: Counts) {
      sum.rounds += more.rounds
      sum.faults += more.faults
      sum.killedAtRandom += more.killedAtRandom
      sum.daemonStarts += more.daemonStarts
      sum.attempts += more.attempts
      sum.jobs += more.jobs
      sum.images += more.images
      sum.backups += more.backups
      sum.decisions += more.decisions
    }
  }

  let host: DroverHost
  let images: StampedImages
  private let items: Range<Int>
  private let label: String
  /// Called again and again while something is under way.
  private let disturb: (KillRound) throws -> Void
  /// Whether jobs that have failed are tried again by hand: then an error may be one that is final.
  private let retriesByHand: Bool
  private let faults: [Effects.Fault]
  private(set) var counts = Counts()

  private static let configuration = """
    maxJobs: 10
    maxJobsPerTarget: 10
    jobs: {attempts: 100, backoffMax: 1s, concurrency: 2}
    reserve: 1Mi
    policy: {deadline: 5s}
    """

  init(
    _ label: String, items: Int, faults: [Effects.Fault] = [], images: StampedImages, retriesByHand: Bool = false,
    disturb: @escaping (KillRound) throws -> Void = { _ in }
  ) throws {
    self.label = label
    self.images = images
    self.items = 0..<items
    self.disturb = disturb
    self.retriesByHand = retriesByHand
    self.faults = faults
    host = try DroverHost(configuration: Self.configuration, hooks: true, faulty: true, start: false)
    try writePolicy()
    try host.effects?.plan(faults)
  }

  /// What an order for a job of this kind and item holds, and no other's.
  static func pattern(_ kind: Kind, _ item: Int) -> String {
    switch kind {
    case .download: #""name":"d\#(item)""#
    case .clone: #""name":"c\#(item)"|"stage":"clone"|"folder""#
    case .backup: #""name":"c\#(item)"|"stage":"backup""#
    case .restore: #""name":"r\#(item)""#
    case .upload: #""name":"u\#(item)""#
    case .deletion: #"backingImage=c\#(item)"|"stage":"delete-backup""#
    }
  }

  func run() throws -> Counts {
    counts.rounds = 1
    try startDaemon()
    try fetchCloneAndBackUp()
    try restore()
    try upload()
    try check(checkEverything)
    try deleteAll()
    if let effects = host.effects { counts.faults = try effects.fired.count }
    return counts
  }

  // MARK: Phases

  private func fetchCloneAndBackUp() throws {
    for item in items {
      try apply(
        Manifest.download("d\(item)", url: images.url(item), checksum: images.checksum(item))
          + "\n---\n" + Manifest.clone("c\(item)", of: "d\(item)") + "\n---\n"
          + Manifest.namelessBackup(of: "c\(item)"))
    }
    try settle("the images and backups", "backingimage", items.flatMap { ["d\($0)", "c\($0)"] }, is: "ready")
    try settle("the backups", "backupbackingimage", items.map { "c\($0)" }, is: "Completed")
  }

  private func restore() throws {
    for item in items {
      let url = "file://\(host.store)?backingImage=c\(item)"
      try apply(Manifest.restore("r\(item)", url: url, checksum: images.checksum(item)))
    }
    try settle("the restored images", "backingimage", items.map { "r\($0)" }, is: "ready")
  }

  /// An upload whose worker or daemon dies fails and leaves nothing; another content may follow it.
  private func upload() throws {
    for attempt in 0... {
      let open = items.filter { uploads["u\($0)"] == nil }
      if open.isEmpty { return }
      guard attempt < 40 else { throw DeadlineExceeded(description: "\(label): uploads that never end well: \(open)") }
      try keepDaemonUp()
      for start in stride(from: 0, to: open.count, by: 10) {
        try upload(Array(open[start..<min(start + 10, open.count)]), attempt)
      }
    }
  }

  /// Several at once, once.
  private func upload(_ items: [Int], _ attempt: Int) throws {
    let runs = try items.map { item in
      let file = host.folder("u\(item)")
      // Every attempt has another content: nothing of an earlier one may get in its way.
      try Folder.writeDurably(file, images.bytes(Self.uploaded(item, attempt)))
      return (item, try host.begin(["image", "create", "u\(item)", "--from-file", file]))
    }
    let outputs = try runs.map { ($0, try $1.end()) }
    for (item, output) in outputs {
      let name = "u\(item)"
      let checksum = images.checksum(Self.uploaded(item, attempt))
      if output.code == 0 {
        uploads[name] = checksum
        continue
      }
      try settle("the end of the upload", "backingimage", [name], isIn: ["failed", "absent", "pending", "ready"])
      if try state("backingimage", name) == "ready" {
        // Its job died after it had succeeded, before the client was told.
        uploads[name] = checksum
        continue
      }
      try quiet()
      let folders = try host.imageFolders().filter { $0.hasPrefix(name + "-") }
      Findings.check(folders == [], "\(label): \(folders) after an interrupted upload: \(output)")
    }
  }

  private var uploads: [String: String] = [:]
  private static func uploaded(_ item: Int, _ attempt: Int) -> Int { 10_000 + item * 100 + attempt }

  /// Looks at everything, with a daemon that stays up for so long.
  private func check(_ look: () throws -> Void) throws {
    let isMortal = faults.contains { $0.role == .daemon && !$0.how.hasPrefix("fail") && !$0.how.hasPrefix("spawn") }
    if isMortal {
      try host.effects?.plan([])
      try restartDaemon()
    }
    try quiet()
    try look()
    if isMortal {
      try host.effects?.plan(faults)
      try restartDaemon()
    }
  }

  private func restartDaemon() throws {
    if host.daemon != nil { try host.stop(signal: SIGKILL) }
    try startDaemon()
  }

  private func checkEverything() throws {
    var expected = uploads
    var backups: [String: String] = [:]
    for item in items {
      for letter in ["d", "c", "r"] { expected["\(letter)\(item)"] = images.checksum(item) }
      backups["c\(item)"] = images.checksum(item)
    }
    try HouseCheck(host: host).run(images: expected, backups: backups, note: label)
    counts.decisions += try DecisionCheck(host: host).run(images: items.map { "c\($0)" }, note: label)
    counts.images += expected.count
    counts.backups += backups.count
    for job in try host.run("job", "list", "-o", "json").json["items"]?.array ?? [] {
      counts.jobs += 1
      counts.attempts += Int(job["status"]?["attempt"]?.int ?? 0)
    }
  }

  private func deleteAll() throws {
    for item in items {
      try insist(["delete", "backupbackingimage", nameOfBackup(of: "c\(item)")], orCode: 4)
    }
    try settle("the end of the backups", "backupbackingimage", items.map { "c\($0)" }, is: "absent")
    for item in items {
      for letter in ["c", "r", "u", "d"] { try insist(["delete", "backingimage", "\(letter)\(item)"], orCode: 4) }
    }
    let names = items.flatMap { item in ["c", "r", "u", "d"].map { "\($0)\(item)" } }
    try settle("the end of the images", "backingimage", names, is: "absent")
    try check(checkEmpty)
  }

  private func checkEmpty() throws {
    try HouseCheck(host: host).run(images: [:], backups: [:], note: "\(label), deleted")
    let blocks = try HouseCheck.files(in: "\(host.store)/backupstore/backing-images/blocks")
    Findings.check(blocks == [], "\(label): no backup is left, so no block may be: \(blocks)")
  }

  // MARK: Waiting, with a daemon that may be gone

  /// Starts the daemon as often as it takes.
  func startDaemon() throws {
    try until("\(label): the daemon starts:\n\(host.daemonLog)", within: 120) {
      try host.launch()
      counts.daemonStarts += 1
      var answers = false
      try until("\(label): the daemon answers or ends:\n\(host.daemonLog)", within: 120) {
        guard host.daemonRuns else { return true }
        answers = try host.run("status").code == 0
        return answers
      }
      if !answers { try host.stop(signal: SIGKILL) }
      return answers
    }
  }

  func keepDaemonUp() throws {
    if host.daemonRuns { return }
    if host.daemon != nil { try host.stop(signal: SIGKILL) }
    try startDaemon()
  }

  enum Victim { case daemon, worker, policy }

  func kill(_ victim: Victim) throws {
    if victim == .daemon {
      host.daemon?.kill(SIGKILL)
    } else if victim == .policy {
      guard let pid = host.policyProcess else { return }
      Glibc.kill(pid, SIGKILL)
    } else if let worker = try host.run("status", "-o", "json").json["workers"]?.array?.first?["pid"]?.int {
      Glibc.kill(pid_t(worker), SIGKILL)
    }
    counts.killedAtRandom += 1
  }

  private func apply(_ manifest: String) throws { try insist(["apply", "-f", "-"], input: manifest) }

  /// Runs the command until the daemon has taken it.
  private func insist(_ arguments: [String], input: String? = nil, orCode other: Int32 = 0) throws {
    var last = ""
    try until("\(label): \(arguments): \(last)\n\(host.daemonLog.suffix(4000))", within: 120, every: 0.1) {
      try keepDaemonUp()
      let output = try host.begin(arguments, input: input).end()
      last = "\(output)"
      return output.code == 0 || output.code == other
    }
  }

  /// The word in `status.state`; `absent` where there is no such object; nil where the daemon does not answer.
  private func state(_ kind: String, _ name: String) throws -> String? { try states(kind)?[name] ?? "absent" }

  private func states(_ kind: String) throws -> [String: String]? {
    let output = try host.run("get", kind, "-o", "json")
    guard output.code == 0 else { return nil }
    var states: [String: String] = [:]
    for item in output.json["items"]?.array ?? [] {
      // What a backup is called is the policy's business.
      let name = item["spec"]?["backingImage"]?.string ?? item["metadata"]?["name"]?.string ?? ""
      states[name] = item["status"]?["state"]?.string ?? ""
    }
    return states
  }

  /// The name of the object; the image's where there is none any more.
  private func nameOfBackup(of image: String) throws -> String {
    try until("\(label): the backups are listed", within: 120, every: 0.1) { () -> String? in
      try keepDaemonUp()
      let output = try host.run("get", "backupbackingimage", "-o", "json")
      guard output.code == 0 else { return nil }
      let objects = output.json["items"]?.array ?? []
      return objects.first { $0["spec"]?["backingImage"]?.string == image }?["metadata"]?["name"]?.string ?? image
    }
  }

  // MARK: The policy

  /// Two answers for one object differ where they are not given within one second. The reason of a decision names the
  /// image, so that a fault can be planned for the write of it: `decision`.
  private static let policy = """
    return { api = 1,
      naming = function(ctx) return { name = ctx.source.name .. "-" .. ctx.now } end,
      labels = function(ctx)
        return { set = { decided = ctx.job.id .. "-" .. ctx.now, image = ctx.source.name }, unset = { "type" } }
      end }

    """

  /// What stands in the catalog's file once the item's backup has its name, or its labels, and not before.
  static func decision(_ point: PolicyPoint, _ item: Int) -> String {
    point == .naming ? "gave the name c\(item)-" : ", image=c\(item), "
  }

  /// Again and again: a policy that could not be looked at three times is looked at once more when its file changes.
  func writePolicy() throws {
    writes += 1
    let file = host.folder("hooks/round.lua")
    try Folder.create(host.folder("hooks"), permissions: 0o755)
    try Folder.writeDurably(file, Array((Self.policy + "-- \(writes)\n").utf8), permissions: 0o644)
  }
  private var writes = 0

  private func settle(_ what: String, _ kind: String, _ names: [String], is goal: String) throws {
    try settle(what, kind, names, isIn: [goal])
  }

  private func settle(_ what: String, _ kind: String, _ names: [String], isIn goals: Set<String>) throws {
    var open: [String]?
    func found() -> String {
      let jobs = (try? host.run("job", "list").out) ?? ""
      return "\(label): \(what): \(open ?? []) not \(goals)\n\(jobs)\n\(host.daemonLog.suffix(4000))"
    }
    try until(found(), within: 120 + Double(names.count) * 10, every: 0.2) {
      try disturb(self)
      try keepDaemonUp()
      open = try states(kind).map { now in names.filter { !goals.contains(now[$0] ?? "absent") } }
      if open?.isEmpty == true { return true }
      if retriesByHand { try retry() }
      return false
    }
  }

  private func retry() throws {
    for job in try host.run("job", "list", "-o", "json").json["items"]?.array ?? [] {
      let id = job["metadata"]?["name"]?.string ?? ""
      let status = job["status"]
      let waits = status?["state"] == "pending" && status?["error"]?["retry"] == "after-fix"
      guard status?["state"] == "failed" || waits, status?["type"] != "upload", retried[id] ?? 0 < 100 else { continue }
      retried[id, default: 0] += 1
      _ = try host.run("job", "retry", id)
    }
  }
  private var retried: [String: Int] = [:]

  /// Waits until no job runs and no worker is left, also of those that have just ended.
  private func quiet() throws {
    try until("\(label): rest:\n\((try? host.run("job", "list").out) ?? "")", within: 60, every: 0.1) {
      try keepDaemonUp()
      let status = try host.run("status", "-o", "json")
      return status.code == 0 && status.json["workers"]?.array?.isEmpty == true
        && status.json["queue"]?["pending"] == 0 && status.json["queue"]?["running"] == 0
    }
  }
}
