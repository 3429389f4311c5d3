import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show how the daemon is: queue, workers, targets, policies, plugins.")

  @Flag(help: "Show the effective configuration.")
  var config = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let status: StatusReport = try connection.daemon.client.get(APIPath.status)
    let output = ObjectOutput(format: output.format)
    if config { return try output.show(status.configuration) { yaml(.object(status.configuration)) } }
    try output.show(status) { text(status) }
  }

  private func text(_ status: StatusReport) -> String {
    let engine = status.engine
    let queue = engine.queue
    let free = ByteSize.text(engine.freeBytes)
    let reserved = engine.reservedBytes > 0 ? ", \(ByteSize.text(engine.reservedBytes)) of it reserved" : ""
    var text = """
      Version:  \(status.version), running since \(engine.startedAt)
      State:    \(engine.stateFolder), \(free) free\(reserved)
      Jobs:     \(queue.running) running (at most \(queue.limit)), \(queue.pending) pending, \(queue.paused) paused

      """
    let workers = engine.workers.map { [$0.job, String($0.pid), String($0.attempt), $0.phase] }
    text += block(Table(header: ["JOB", "PROCESS", "ATTEMPT", "PHASE"], rows: workers))
    let targets = engine.targets.map { [$0.name, $0.available ? "yes" : "no", $0.url, $0.message ?? "-"] }
    text += block(Table(header: ["TARGET", "AVAILABLE", "URL", "MESSAGE"], rows: targets))
    let hooks = engine.hooks.filter { $0.active || $0.error != nil }
    if !hooks.isEmpty { text += "\n" + hookTable(hooks, wide: false) }
    let plugins = pluginTable(engine.plugins, wide: false)
    return text + (plugins.isEmpty ? "\nNo plugins: see drover status --config for the folders\n" : "\n" + plugins)
  }

  private func block(_ table: Table) -> String { table.rows.isEmpty ? "" : "\n" + table.text }
}
