import ArgumentParser
import DroverModel

struct BackupPinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin", abstract: "Protect backups from deletion, also by force, until they are unpinned.")
  @OptionGroup var backups: PinArguments
  func run() throws { try backups.pin(true) }
}

struct BackupUnpinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin", abstract: "End the protection of backups from deletion.")
  @OptionGroup var backups: PinArguments
  func run() throws { try backups.pin(false) }
}

struct PinArguments: ParsableArguments {
  @Argument(help: ArgumentHelp("URL of the backup, or the name of its object.", valueName: "url|name"))
  var backups: [String]

  @OptionGroup var connection: ConnectionOptions

  func pin(_ pinned: Bool) throws {
    let daemon = connection.daemon
    var failures = Failures()
    var done = 0
    for backup in backups {
      try failures.attempt {
        let key = try BackupReference(backup).key(daemon)
        _ = try daemon.pin(key, pinned)
        print("\(key) \(pinned ? "pinned" : "unpinned")")
        done += 1
      }
    }
    try failures.end(succeeded: done)
  }
}
