import ArgumentParser
import DroverModel

struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot", abstract: "Freeze what volumes hold, and go back to it.",
    subcommands: [
      SnapshotCreateCommand.self, SnapshotDeleteCommand.self, SnapshotRevertCommand.self, SnapshotListCommand.self,
    ])
}

/// The snapshots of one volume.
struct VolumeSnapshots {
  let volume: String
  let objects: [Resource]

  init(_ volume: String, _ daemon: Daemon) throws {
    self.volume = volume
    _ = try daemon.resource(try ObjectReference.key(.volume, volume))
    objects = try daemon.resources(.snapshot).filter { $0.spec["volume"]?.string == volume }
  }

  /// By the name in the volume.
  func key(_ name: String) throws(Fault) -> ResourceKey {
    let found = objects.first { ($0.spec["snapshotName"]?.string ?? $0.metadata.name) == name }
    guard let found else {
      throw Fault(.notFound, "volume/\(volume) has no snapshot \(name)", hint: "drover snapshot list \(volume)")
    }
    return ResourceKey(.snapshot, found.metadata.name)
  }
}
