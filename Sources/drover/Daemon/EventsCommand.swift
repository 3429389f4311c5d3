import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc

struct EventsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "events", abstract: "Show what happened, oldest first.")

  @Flag(name: .shortAndLong, help: "Go on with what happens.")
  var follow = false

  @Option(help: ArgumentHelp("Only what came after this number.", valueName: "seq"))
  var since: Int64 = 0

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var query = [APIQuery.since: String(since)]
    if follow { query[APIQuery.follow] = "1" }
    Interrupts.watch()
    try connection.daemon.client.stream(
      APIPath.events, query: query, of: Event.self, isCancelled: { Interrupts.isPending }
    ) { event in
      if output.format == .json {
        print(try APIJSON.encode(event))
      } else {
        let job = event.job.map { " (\($0))" } ?? ""
        let message = event.message.isEmpty ? "" : ": \(event.message)"
        print("\(event.seq) \(event.time) \(event.kind)/\(event.name) \(event.type.rawValue)\(job)\(message)")
      }
      fflush(nil)
      return true
    }
    try Interrupts.check()
  }
}
