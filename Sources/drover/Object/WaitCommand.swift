import ArgumentParser
import DroverModel

struct WaitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Wait until an object is in a state, and fail where it can't get there.")

  @Argument(help: ArgumentHelp("KIND/NAME or KIND NAME.", valueName: "object"))
  var words: [String]

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "ready, completed, available, succeeded, deleted or state=X. Without it the final state of the kind.",
      valueName: "condition"))
  var condition: String?

  @OptionGroup var limit: TimeoutOption
  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let key = try ObjectReference.key(words)
    let goal = try condition.map { text throws(Fault) in try Goal(text, key.kind) } ?? .done
    let waiter = Waiter(connection.daemon, progress.display(), timeout: limit.timeout)
    let object = try waiter.wait(for: key, goal)
    guard output.format != .table, let object else { return print("\(key) \(condition ?? Goal.word(key.kind))") }
    try ObjectOutput(format: output.format).show(object)
  }
}
