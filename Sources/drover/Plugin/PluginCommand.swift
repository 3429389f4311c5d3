import ArgumentParser

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "See which stages are there and why a plugin is not, and check one.",
    subcommands: [PluginListCommand.self, PluginInspectCommand.self, PluginCheckCommand.self])
}
