import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct PluginInspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Load a plugin in a process of its own, and say what it is or why it is refused.")

  @Argument(help: ArgumentHelp("A shared object.", valueName: "file")) var file: String

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let plugin: PluginReport = try connection.daemon.client.get(
      APIPath.inspectPlugin, query: [APIQuery.path: absolutePath(file)])
    try ObjectOutput(format: output.format).show(plugin) { text(plugin) }
    if let refused = plugin.refused { throw refused }
  }

  private func text(_ plugin: PluginReport) -> String {
    var text = "File:     \(plugin.path)\n"
    if let name = plugin.name { text += "Name:     \(name)\n" }
    if let version = plugin.version { text += "Version:  \(version)\n" }
    if let abi = plugin.abi { text += "ABI:      \(abi)\n" }
    for stage in plugin.stages {
      let traits = [stage.parallel ? "parallel" : nil, stage.network ? "network" : nil].compactMap(\.self)
      let roles = (stage.roles.map(\.rawValue) + traits).joined(separator: ", ")
      text += "\n\(stage.name) (\(roles))\n  \(stage.summary)\n"
      if let params = stage.params, params != [:] {
        text += yaml(params).split(separator: "\n").map { "  \($0)\n" }.joined()
      }
    }
    return text
  }
}
