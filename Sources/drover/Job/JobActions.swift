import ArgumentParser
import ControlAPI
import DroverModel

struct JobCancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "End jobs for good, and remove what they had made so far.")
  @OptionGroup var jobs: JobArguments
  func run() throws { try jobs.act(.cancel) }
}

struct JobRetryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Start failed or cancelled jobs again, and waiting ones at once.")
  @OptionGroup var jobs: JobArguments
  func run() throws { try jobs.act(.retry) }
}

struct JobPauseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Hold jobs: a running one saves where it is, and ends its worker.")
  @OptionGroup var jobs: JobArguments
  func run() throws { try jobs.act(.pause) }
}

struct JobResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Let paused jobs go on from where they were.")
  @OptionGroup var jobs: JobArguments
  func run() throws { try jobs.act(.resume) }
}

/// The jobs that an action is for.
struct JobArguments: ParsableArguments {
  @Argument(help: ArgumentHelp("job-….", valueName: "id")) var ids: [String]

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func act(_ action: JobAction) throws {
    var jobs: [Resource] = []
    var failures = Failures()
    for id in ids { try failures.attempt { jobs.append(try connection.daemon.act(action, job: id)) } }
    try show(jobs, action)
    try failures.end(succeeded: jobs.count)
  }

  private func show(_ jobs: [Resource], _ action: JobAction) throws {
    guard output.format == .table else {
      guard !jobs.isEmpty else { return }
      let output = ObjectOutput(format: output.format)
      return ids.count == 1 ? try output.show(jobs[0]) : try output.show(jobs)
    }
    for job in jobs { print("job/\(job.metadata.name) \(Self.outcome(of: action, job))") }
  }

  /// A worker that was told to stop needs a moment.
  private static func outcome(of action: JobAction, _ job: Resource) -> String {
    let state = job.status["state"]?.string ?? "unknown"
    return switch (action, state) {
    case (.pause, "running"): "pausing"
    case (.cancel, "running"), (.cancel, "pending"): "cancelling"
    default: state
    }
  }
}
