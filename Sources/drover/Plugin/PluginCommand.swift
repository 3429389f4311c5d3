import ArgumentParser

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "See which stages are there, and why a plugin is not.",
    subcommands: [PluginListCommand.self, PluginInspectCommand.self])
}
