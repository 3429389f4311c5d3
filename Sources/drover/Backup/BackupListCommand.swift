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
    let daemon = connection.daemon
    let images = try daemon.resources(.backupBackingImage, labels: selector)
    let volumes = try daemon.resources(.backup, labels: selector)
    let output = ObjectOutput(format: output.format)
    switch output.format {
    case .json, .yaml, .name: try output.show(images + volumes)
    case .table, .wide:
      // Two kinds, two tables; an empty one only where both are.
      if !images.isEmpty || volumes.isEmpty { try output.show(images) }
      if !volumes.isEmpty { try output.show(volumes) }
    }
  }
}
