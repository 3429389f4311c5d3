import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Manifests

struct HookTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Show what a policy would decide, and why; nothing is done.",
    discussion: """
      The policy is run twice. The command fails where it gives no valid answer, or two different ones.
      Without --input and --live the policy gets a made-up context.
      """)

  @Argument(help: "naming or labels.") var point: String

  @Option(help: ArgumentHelp("The ctx as JSON; - is standard input.", valueName: "file")) var input: String?
  @Option(help: ArgumentHelp("An image that would be backed up, or a backup.", valueName: "kind/name")) var live:
    String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    guard let point = PolicyPoint(rawValue: point) else {
      let known = PolicyPoint.allCases.map(\.rawValue)
      let nearest = nearestName(to: self.point, among: known).map { "; did you mean \($0)?" } ?? ""
      throw Fault(.invalid, "\"\(self.point)\" is no point of policies\(nearest)", hint: known.joined(separator: ", "))
    }
    guard input == nil || live == nil else { throw Fault(.invalid, "only one of --input and --live can be given") }
    var request = HookTestRequest(point: point)
    if let live {
      request.live = "\(try ObjectReference.key([live]))"
    } else {
      request.input = try input.map(read) ?? Self.example
    }
    let trial: HookTrial = try connection.daemon.client.post(APIPath.testHook, body: request)
    try ObjectOutput(format: output.format).show(trial) { text(trial) }
    try check(trial)
  }

  private func read(_ file: String) throws -> JSONValue {
    let bytes = try readInput(file, limit: 1 << 20)
    do { return try APIJSON.decode(JSONValue.self, from: String(decoding: bytes, as: UTF8.self)) } catch {
      throw Fault(.invalid, "\(file) is not JSON")
    }
  }

  private func check(_ trial: HookTrial) throws {
    guard let decision = trial.decision else {
      throw Fault(
        .notFound, "no policy is asked for \(trial.point.rawValue)", hint: "drover hook list shows the files")
    }
    if let warning = decision.warning { throw Fault(.policyFailed, warning) }
    guard trial.repeatable else {
      throw Fault(.policyFailed, "\(decision.script) gave two different answers to the same question")
    }
  }

  private func text(_ trial: HookTrial) -> String {
    guard let decision = trial.decision else { return "" }
    var text = "Script:    \(decision.script) (\(decision.digest.prefix(12)))\n"
    text += "Decision:  \(decision.reason)\n"
    if !trial.printed.isEmpty {
      text += "Printed:\n" + trial.printed.split(separator: "\n").map { "  \($0)\n" }.joined()
    }
    if trial.result != .null { text += "Result:\n" + indented(trial.result) }
    if decision.output != .null { text += "Output:\n" + indented(decision.output) }
    return text
  }

  private func indented(_ value: JSONValue) -> String {
    guard value.object != nil || value.array != nil else { return "  \(value.string ?? yaml(value))\n" }
    return yaml(value).split(separator: "\n").map { "  \($0)\n" }.joined()
  }

  /// A context such as the backup of an image gives.
  private static let example: JSONValue = [
    "now": 1_700_000_000, "now_iso": "2023-11-14T22:13:20Z", "host": "example",
    "job": ["id": "job-0000000000000000", "kind": "backup", "attempt": 1], "kind": "backupbackingimage",
    "labels": [:],
    "source": ["kind": "backingimage", "name": "example", "labels": [:], "size": 1_048_576],
  ]
}
