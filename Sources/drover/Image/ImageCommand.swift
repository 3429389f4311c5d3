import ArgumentParser

struct ImageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "image", abstract: "Make images, and take their bytes out.",
    subcommands: [ImageCreateCommand.self, ImageSaveCommand.self])
}
