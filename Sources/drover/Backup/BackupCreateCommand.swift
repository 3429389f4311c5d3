import ArgumentParser
import DroverModel
import Manifests

struct BackupCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Back up an image or a volume: drover backup create image|volume NAME.",
    discussion: """
      A volume's backup holds what its snapshot holds itself, and builds upon the last one in the store where that is
      possible. The image that the volume lies over is backed up first, where the store has no backup of it.
      The BackupBackingImage is named as the image is, and NAME-TARGET for another target than the default, where no
      policy names it. A store has one backup an image: where there is an object for it, that is the one that is meant.
      """)

  @Argument(help: "image or volume") var kind: String
  @Argument(help: "Its name.") var name: String

  @Option(help: ArgumentHelp("Of the volume: what is backed up; without it, one is made.", valueName: "name"))
  var snapshot: String?

  @Flag(help: "Of a volume: write every block, also where the store has it.")
  var full = false

  @Option(help: ArgumentHelp("The backup target; default, or a volume's own.", valueName: "name"))
  var target: String?

  @Option(
    name: .customLong("label"),
    help: ArgumentHelp("Written into the backup. May be given again.", valueName: "key=value"))
  var labelPairs: [String] = []

  @Option(help: ArgumentHelp("none, gzip or lz4.", valueName: "method"))
  var compression: String?

  @OptionGroup var waiting: WaitOptions

  @Flag(help: "Check everything, and plan, but change nothing.")
  var dryRun = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var spec: [String: JSONValue] = ["userCreated": true]
    let made: ResourceKind
    switch kind {
    case "image", "backingimage", "bi":
      guard snapshot == nil, !full else { throw Fault(.invalid, "--snapshot and --full are for volumes") }
      made = .backupBackingImage
      spec["backingImage"] = .string(name)
      spec["backupTargetName"] = .string(target ?? BackupTarget.defaultName)
    case "volume", "vol":
      made = .backup
      spec["volumeName"] = .string(name)
      if let target { spec["backupTargetName"] = .string(target) }
      if let snapshot { spec["snapshotName"] = .string(snapshot) }
      if full { spec["backupMode"] = .string(Backup.Mode.full.rawValue) }
    default:
      throw Fault(.invalid, "\"\(kind)\" can't be backed up", hint: "drover backup create image NAME, or volume NAME")
    }
    if !labelPairs.isEmpty { spec["labels"] = .object(try labels(labelPairs)) }
    if let compression { spec["compressionMethod"] = .string(compression) }
    let manifest: JSONValue = [
      "apiVersion": .string(ResourceDocument.apiVersion), "kind": .string(made.manifestName), "spec": .object(spec),
    ]
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(dryRun: dryRun), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest, position: "backup of \(kind) \(name)")])
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
