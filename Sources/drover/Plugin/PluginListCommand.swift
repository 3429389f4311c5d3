import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct PluginListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show the plugins in the daemon's folders, and what each offers.")

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let plugins: PluginList = try connection.daemon.client.get(APIPath.plugins)
    try ObjectOutput(format: output.format).show(plugins) {
      if output.format == .name { return plugins.items.compactMap(\.name).map { "\($0)\n" }.joined() }
      return pluginTable(plugins.items, wide: output.format == .wide)
    }
  }
}

func pluginTable(_ plugins: [PluginReport], wide: Bool) -> String {
  let rows = plugins.map { plugin in
    let stages = plugin.stages.map { "\($0.name) (\($0.roles.map(\.rawValue).joined(separator: ", ")))" }
    return [
      plugin.name ?? "-", plugin.version ?? "-", plugin.abi ?? "-",
      plugin.refused.map { "refused: \($0.message)" } ?? stages.joined(separator: ", "),
    ] + (wide ? [plugin.path] : [])
  }
  return Table(header: ["NAME", "VERSION", "ABI", "STAGES"] + (wide ? ["FILE"] : []), rows: rows).text
}
