import ArgumentParser
import ControlAPI
import DroverModel

struct TargetSyncCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sync", abstract: "See what others have put into a store, or taken out of it.",
    discussion: """
      Only what has changed is read. A backup that others made gets a record with userCreated: false, and the record of
      one that is gone goes. The daemon does the same by itself at each pollInterval of a target.
      """)

  @Argument(help: ArgumentHelp("The targets; without one, all.", valueName: "name")) var names: [String] = []

  @OptionGroup var limit: TimeoutOption
  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let daemon = connection.daemon
    let keys =
      names.isEmpty
      ? try daemon.resources(.backupTarget).map { ResourceKey(.backupTarget, $0.metadata.name) }
      : try names.map { try ObjectReference.key(.backupTarget, $0) }
    // All are asked before the first is waited for.
    let jobs = keys.map { key in Result { try daemon.sync(key) } }
    let display = progress.display()
    let waiter = Waiter(daemon, display, timeout: limit.timeout)
    var targets: [Resource] = []
    var failures = Failures()
    for (key, job) in zip(keys, jobs) {
      try failures.attempt { targets.append(try end(of: job.get(), key, daemon, waiter, display)) }
    }
    if output.format != .table, !targets.isEmpty {
      let output = ObjectOutput(format: output.format)
      if names.count == 1 { try output.show(targets[0]) } else { try output.show(targets) }
    }
    try failures.end(succeeded: targets.count)
  }

  /// Waits for the look at one target, and shows what it came to. Throws why the target can't be used.
  private func end(
    of job: Resource, _ key: ResourceKey, _ daemon: Daemon, _ waiter: Waiter, _ display: any ProgressDisplay
  ) throws -> Resource {
    let done = try waiter.wait(for: ResourceKey(.job, job.metadata.name))
    let result = done?.status["result"]?.object ?? [:]
    guard result["available"]?.bool == true else {
      let reason = result["reason"]?.string ?? "the look at the store gave no reason"
      let code = result["code"]?.string.map(Fault.Code.init(rawValue:)) ?? .targetUnreachable
      throw Fault(
        code.exitCode == 1 ? .targetUnreachable : code, "\(key) can't be used: \(reason)",
        hint: result["hint"]?.string.flatMap { $0.isEmpty ? nil : $0 })
    }
    if output.format == .table {
      func count(_ name: String) -> Int64 { result[name]?.int ?? 0 }
      print(
        "\(key) synced: \(count("images")) backups of images, \(count("backups")) of volumes, \(count("read")) read, \(count("gone")) gone"
      )
    }
    let target = try daemon.resource(key)
    if result["vanished"]?.bool == true {
      let message = BackupTarget.Status(target.status).conditions.last?.message ?? "the store holds nothing"
      display.note("\(key)", message)
    }
    return target
  }
}
