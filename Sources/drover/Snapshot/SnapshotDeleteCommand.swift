import ArgumentParser
import DroverModel

struct SnapshotDeleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Remove a snapshot from its volume; what the volume holds now stays as it is.")

  @Argument var volume: String
  @Argument(help: "Of the snapshot in its volume.") var name: String

  @OptionGroup var waiting: WaitOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let daemon = connection.daemon
    var deletion = Deletion(
      daemon: daemon, force: false,
      waiter: waiting.wait ? Waiter(daemon, progress.display(), timeout: waiting.limit.timeout) : nil)
    try deletion.delete(try VolumeSnapshots(volume, daemon).key(name))
    try deletion.end()
  }
}
