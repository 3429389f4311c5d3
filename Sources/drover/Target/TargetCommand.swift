import ArgumentParser

struct TargetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "target", abstract: "Look after backup targets and what lies in them.",
    subcommands: [TargetSyncCommand.self, TargetVerifyCommand.self, TargetCollectCommand.self])
}
