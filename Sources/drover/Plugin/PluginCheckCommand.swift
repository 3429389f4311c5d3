import ArgumentParser
import ChildProtocol
import ControlAPI
import DroverModel
import FoundationEssentials
import LinuxSystem
import LocalWorker

struct PluginCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Run a plugin's stages against faults, cancels and odd sizes, without a daemon.",
    discussion: """
      Each stage is opened, read, written and copied many times over in a process of its own, with a device beside it
      that fails at every call in turn. Exit code 0: nothing was found; 1: something was.

      In the strings of parameters, {folder} stands for an empty folder and {case} for a number, both anew for each case; a
      string that is {stream} becomes the number of a descriptor that {size} bytes can be read from, {drain} of one that
      takes any number.

        drover plugin check libdrover-stage-pattern.so --params '{"size":"1000448"}'
        drover plugin check libdrover-stage-clone.so --params 'source={"path":"/images/small.img"}' \\
          --params 'sink={"folder":"{folder}/image","name":"x","uuid":"{case}"}'
      """)

  @Argument(help: ArgumentHelp("A shared object.", valueName: "file")) var file: String

  @Option(help: ArgumentHelp("Only this stage of the plugin.", valueName: "name")) var stage: String?

  @Option(help: ArgumentHelp("Only in this role: source, filter, sink or task.", valueName: "role"))
  var role: PluginRole?

  @Option(
    help: ArgumentHelp(
      """
      Parameters as a JSON object, or ROLE={...} for one role: source, filter, sink, task; or for one direction of a \
      filter: reading, writing.
      """, valueName: "json"))
  var params: [String] = []

  @Option(
    help: ArgumentHelp("Files with this in their path may stay behind, such as blocks of a store.", valueName: "text"))
  var mayLeave: [String] = []

  @Option(help: ArgumentHelp("A secret for the stages, from a file.", valueName: "name=file")) var secret: [String] = []

  @Option(help: ArgumentHelp("How long a call may be silent: 20s.", valueName: "time")) var hangTimeout: Span?

  @Flag(name: .shortAndLong, help: "No steps on standard error while it runs.") var quiet = false

  @OptionGroup var output: OutputOptions

  func run() throws {
    let root = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    let scratch = "\(root)/drover-check-\(UUID().uuidString.prefix(8).lowercased())"
    try Folder.create(scratch, permissions: 0o700)
    defer { try? Folder.removeTree(scratch) }
    let worker = try LocalWorker(
      path: DefaultPaths.besideThisProgram.workerPath, environment: ProcessInfo.processInfo.environment)
    let given = try secrets()
    var order = CheckOrder(
      path: absolutePath(file), stage: stage, role: role?.role, params: try parameters(), mayLeave: mayLeave,
      scratch: scratch,
      secretNames: given.map(\.name))
    if let hangTimeout { order.hangSeconds = max(1, Int(hangTimeout.seconds)) }
    let showsSteps = !quiet && Terminal.standardError.isTerminal
    let check = try worker.check(order, secrets: given.map(\.bytes)) { step in
      if showsSteps { writeError("\(step.outcome.rawValue)  \(subject(step))  \(step.name)") }
    }
    try ObjectOutput(format: output.format).show(check) { Self.text(check) }
    if !check.passed { throw ExitCode(1) }
  }

  private func parameters() throws -> [String: [String: JSONValue]] {
    var all: [String: [String: JSONValue]] = [:]
    for argument in params {
      var (role, json) = ("", Substring(argument))
      if let equals = argument.firstIndex(of: "="), Self.isPlace(String(argument[..<equals])) {
        role = String(argument[..<equals])
        json = argument[argument.index(after: equals)...]
      }
      guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(json.utf8)), let members = value.object
      else { throw Fault(.invalid, "--params \(argument): that is no JSON object, with ROLE= before it or without") }
      all[role, default: [:]].merge(members) { _, new in new }
    }
    return all
  }

  private static func isPlace(_ word: String) -> Bool {
    Pipeline.Role(rawValue: word) != nil || CheckOrder.Direction(rawValue: word) != nil
  }

  private func secrets() throws -> [(name: String, bytes: SecretBytes)] {
    try secret.map { argument in
      guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
        throw Fault(.invalid, "the argument of --secret is not NAME=FILE")
      }
      var bytes = try readInput(String(argument[argument.index(after: equals)...]), limit: 1 << 20)
      defer { bytes.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) } }
      return (String(argument[..<equals]), bytes.withUnsafeBytes { SecretBytes(copying: $0) })
    }
  }

  static func text(_ check: PluginCheck) -> String {
    let rows = check.steps.map { step in
      [
        subject(step), step.name, step.outcome.rawValue, step.cases > 0 ? "\(step.cases)" : "-", step.detail ?? "",
      ]
    }
    let failed = check.steps.count { $0.outcome == .failed }
    return Table(header: ["STAGE", "CHECK", "RESULT", "CASES", "DETAIL"], rows: rows).text
      + "\n\(check.path): \(failed == 0 ? "nothing found" : "\(failed) of \(check.steps.count) checks failed")\n"
  }
}

/// `Pipeline.Role` as an argument.
enum PluginRole: String, ExpressibleByArgument, CaseIterable {
  case source, filter, sink, task
  var role: Pipeline.Role? { Pipeline.Role(rawValue: rawValue) }
}

private func subject(_ step: PluginCheck.Step) -> String {
  step.stage.isEmpty ? "-" : step.role.map { "\(step.stage) (\($0.rawValue))" } ?? step.stage
}
