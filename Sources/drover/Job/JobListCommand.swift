import ArgumentParser
import DroverModel

struct JobListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show the jobs that are remembered, newest first.")

  @Flag(help: "Only those that are not over.")
  var active = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let jobs = try connection.daemon.resources(.job).filter { job in
      guard active, let state = job.status["state"]?.string.flatMap(Job.State.init(rawValue:)) else { return true }
      return !state.isFinal
    }
    let newestFirst = jobs.enumerated().sorted { a, b in
      let (x, y) = (a.element.metadata.creationTimestamp ?? "", b.element.metadata.creationTimestamp ?? "")
      return x == y ? a.offset < b.offset : x > y
    }
    try ObjectOutput(format: output.format).show(newestFirst.map(\.element))
  }
}
