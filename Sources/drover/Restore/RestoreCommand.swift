import ArgumentParser

struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Get backups out of a store.",
    subcommands: [RestoreVolumeCommand.self, RestoreFileCommand.self])
}
