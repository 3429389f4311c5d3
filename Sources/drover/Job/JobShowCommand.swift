import ArgumentParser
import DroverModel

struct JobShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show one job: its state, its pipeline, its error.")

  @Argument(help: ArgumentHelp("job-….", valueName: "id")) var id: String

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let job = try connection.daemon.resource(try ObjectReference.key(.job, id))
    guard output.format == .table else { return try ObjectOutput(format: output.format).show(job) }
    print("Name:  \(job.metadata.name)\nKind:  \(job.kind)")
    for line in yaml(.object(job.status)).split(separator: "\n") { print("  \(line)") }
  }
}
