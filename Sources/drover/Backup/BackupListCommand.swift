import ArgumentParser
import DroverModel

struct BackupListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "Show the backups that Drover knows.")

  @Option(
    name: [.customShort("l"), .customLong("selector")],
    help: ArgumentHelp("Only objects with these labels.", valueName: "key=value"))
  var selector: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    if let selector { _ = try LabelSelector(selector) }
    try ObjectOutput(format: output.format).show(
      try connection.daemon.resources(.backupBackingImage, labels: selector))
  }
}
