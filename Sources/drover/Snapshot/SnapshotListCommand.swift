import ArgumentParser
import DroverModel

struct SnapshotListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "The snapshots of a volume.")

  @Argument var volume: String
  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let snapshots = try VolumeSnapshots(volume, connection.daemon).objects
    try ObjectOutput(format: output.format).show(
      snapshots.sorted { left, right in
        func time(_ snapshot: Resource) -> String { Snapshot.Status(snapshot.status).creationTime ?? "~" }
        return (time(left), left.metadata.name) < (time(right), right.metadata.name)
      })
  }
}
