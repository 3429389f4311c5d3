import ArgumentParser

struct VolumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "volume", abstract: "Make volumes: disks of their own, or over an image.",
    subcommands: [VolumeCreateCommand.self])
}
