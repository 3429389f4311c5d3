import ArgumentParser
import ControlClient
import DroverModel

/// How to reach the daemon.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: .customLong("socket"),
    help: ArgumentHelp("The daemon's socket; for backup open, where to serve.", valueName: "path"))
  var path: String?

  /// Does not connect.
  var daemon: Daemon {
    let socket = path ?? DefaultPaths.ofThisProcess.socket
    return Daemon(client: ControlClient(socket: absolutePath(socket)))
  }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case table, wide, json, yaml, name
}

struct OutputOptions: ParsableArguments {
  @Option(
    name: [.customShort("o", allowingJoined: true), .customLong("output")],
    help: ArgumentHelp("table, wide, json, yaml or name.", valueName: "format"))
  var format: OutputFormat = .table
}

struct ProgressOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "No progress and no notes on standard error.")
  var quiet = false

  @Flag(help: "Progress as JSON Lines on standard error.")
  var jsonProgress = false

  func display() -> any ProgressDisplay {
    if jsonProgress { return JSONProgress() }
    if quiet { return NoProgress() }
    return Terminal.standardError.isTerminal ? ProgressBar() : ProgressLines()
  }
}

struct WaitOptions: ParsableArguments {
  @Flag(help: "Go on until the final state is reached; SIGINT ends the waiting, not the job.")
  var wait = false

  @OptionGroup var limit: TimeoutOption
}

struct TimeoutOption: ParsableArguments {
  @Option(help: ArgumentHelp("How long to wait: 30s, 10m, 1h30m. Without it there is no limit.", valueName: "time"))
  var timeout: Span?
}

/// A span of time as an argument.
struct Span: ExpressibleByArgument {
  var seconds: Double

  init?(argument: String) {
    guard let seconds = TimeSpan.parse(argument) else { return nil }
    self.seconds = seconds
  }
}

enum ValidationMode: String, ExpressibleByArgument, CaseIterable {
  case strict, warn, ignore
  var validation: Validation { Validation(rawValue: rawValue) ?? .strict }
}

/// `KEY=VALUE` arguments as labels; a key given twice takes the last value.
func labels(_ pairs: [String]) throws(Fault) -> [String: JSONValue] {
  var labels: [String: JSONValue] = [:]
  for pair in pairs {
    let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard sides.count == 2, !sides[0].isEmpty else {
      throw Fault(.invalid, "the label \"\(pair)\" is not KEY=VALUE")
    }
    labels[String(sides[0])] = .string(String(sides[1]))
  }
  return labels
}
