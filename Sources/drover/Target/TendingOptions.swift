import ArgumentParser
import DroverModel

/// What verbs on a whole target have in common.
struct TendingOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The backup target; without it, the one called default.", valueName: "name"))
  var name = BackupTarget.defaultName

  @OptionGroup var limit: TimeoutOption
  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  /// Runs the job to its end and returns its result. SIGINT and the end of the time limit leave it going on.
  func run(_ kind: Job.Kind, _ request: [String: JSONValue]) throws -> [String: JSONValue] {
    let daemon = connection.daemon
    let key = try ObjectReference.key(.backupTarget, name)
    let job = try daemon.tend(kind, target: key.name, request)
    let waiter = Waiter(daemon, progress.display(), timeout: limit.timeout)
    guard let ended = try waiter.wait(for: ResourceKey(.job, job.metadata.name)) else { return [:] }
    return ended.status["result"]?.object ?? [:]
  }
}
