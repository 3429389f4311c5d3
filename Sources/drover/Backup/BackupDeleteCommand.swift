import ArgumentParser
import DroverModel

struct BackupDeleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Remove a backup from its store, and what is known of it.")

  @Argument(help: ArgumentHelp("URL of the backup, or the name of its object.", valueName: "url|name"))
  var backup: String

  @Flag(help: "Also where something depends on it.")
  var force = false

  @OptionGroup var waiting: WaitOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let daemon = connection.daemon
    var deletion = Deletion(
      daemon: daemon, force: force,
      waiter: waiting.wait ? Waiter(daemon, progress.display(), timeout: waiting.limit.timeout) : nil)
    try deletion.delete(try BackupReference(backup).key(daemon))
    try deletion.end()
  }
}
