import ArgumentParser

struct HookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hook", abstract: "See which policies are asked, and try them.",
    subcommands: [HookListCommand.self, HookTestCommand.self])
}
