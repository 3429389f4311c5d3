import ArgumentParser

struct BackupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup", abstract: "Make backups, and look at what is in a store.",
    subcommands: [
      BackupCreateCommand.self, BackupListCommand.self, BackupInspectCommand.self, BackupDeleteCommand.self,
      BackupOpenCommand.self,
      BackupPinCommand.self, BackupUnpinCommand.self,
    ])
}
