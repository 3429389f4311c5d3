import ArgumentParser
import DroverModel
import Manifests

struct RestoreVolumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "volume", abstract: "Make a volume from a backup, with the image that it lies over.",
    discussion: """
      The image is taken where it is here with the checksum that the backup records; where there is none of its name, it is
      restored first, from the same store. Without a name the volume is called as the one that was backed up.
      """)

  @Argument var name: String?

  @Option(help: ArgumentHelp("status.url of a Backup.", valueName: "url"))
  var from: String

  @Option(help: ArgumentHelp("An image that is here, instead of the recorded one.", valueName: "name"))
  var backingImage: String?

  @Flag(help: "Also over an image that is not known to hold what the recorded one did.")
  var force = false

  @OptionGroup var waiting: WaitOptions

  @Flag(help: "Check everything, and plan, but change nothing.")
  var dryRun = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var spec: [String: JSONValue] = ["fromBackup": .string(from)]
    if let backingImage { spec["backingImage"] = .string(backingImage) }
    if force, backingImage == nil {
      throw Fault(.invalid, "--force says nothing without --backing-image", hint: "name the image that is to be taken")
    }
    if force { spec["acceptBackingImage"] = true }
    var metadata: [String: JSONValue] = [:]
    if let name { metadata["name"] = .string(name) }
    let manifest: JSONValue = [
      "apiVersion": .string(ResourceDocument.apiVersion), "kind": .string(ResourceKind.volume.manifestName),
      "metadata": .object(metadata), "spec": .object(spec),
    ]
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(dryRun: dryRun), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest, position: "restore of \(from)")])
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
