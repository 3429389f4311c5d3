import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc

struct JobLogsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "logs", abstract: "Show what a job's attempts logged.")

  @Argument(help: ArgumentHelp("job-….", valueName: "id")) var id: String

  @Flag(name: .shortAndLong, help: "Go on until the job is over.")
  var follow = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let key = try ObjectReference.key(.job, id)
    Interrupts.watch()
    try connection.daemon.client.stream(
      APIPath.log(job: key.name), query: follow ? [APIQuery.follow: "1"] : [:], of: LogLine.self,
      isCancelled: { Interrupts.isPending }
    ) { line in
      if output.format == .json {
        print(try APIJSON.encode(line))
      } else {
        print("\(line.time) \(line.attempt) \(line.level.rawValue): \(line.message)")
      }
      fflush(nil)
      return true
    }
    try Interrupts.check()
  }
}
