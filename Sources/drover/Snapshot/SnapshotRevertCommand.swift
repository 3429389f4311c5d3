import ArgumentParser
import DroverModel

struct SnapshotRevertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revert", abstract: "Make a volume hold what it held at a snapshot.",
    discussion: "What was written since, and is in no other snapshot, is lost. The volume must be detached.")

  @Argument var volume: String
  @Argument(help: "Of the snapshot in the volume.") var name: String

  @OptionGroup var waiting: WaitOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let daemon = connection.daemon
    let key = try ObjectReference.key(.volume, volume)
    let job = try daemon.revert(key, to: name)
    let jobKey = ResourceKey(.job, job.metadata.name)
    guard waiting.wait else { return print("\(key) reverting, \(jobKey.name)") }
    _ = try Waiter(daemon, progress.display(), timeout: waiting.limit.timeout).wait(for: jobKey)
    print("\(key) reverted to \(name)")
  }
}
