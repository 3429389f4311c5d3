import ArgumentParser

struct JobCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "job", abstract: "Look at jobs, and steer them.",
    subcommands: [
      JobListCommand.self, JobShowCommand.self, JobLogsCommand.self, JobCancelCommand.self, JobRetryCommand.self,
      JobPauseCommand.self, JobResumeCommand.self,
    ])
}
