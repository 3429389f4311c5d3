import ArgumentParser

struct TargetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "target", abstract: "Look after whole backup targets.",
    subcommands: [TargetVerifyCommand.self, TargetCollectCommand.self])
}
