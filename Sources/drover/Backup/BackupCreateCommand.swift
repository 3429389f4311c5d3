import ArgumentParser
import DroverModel
import Manifests

struct BackupCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Back up an image: drover backup create image NAME.",
    discussion: """
      The BackupBackingImage is named as the image is, and NAME-TARGET for another target than the default, where no
      policy names it. A store has one backup an image: where there is an object for it, that is the one that is meant.
      """)

  @Argument(help: "image") var kind: String
  @Argument(help: "The image's name.") var name: String

  @Option(help: ArgumentHelp("The backup target.", valueName: "name"))
  var target = BackupTarget.defaultName

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
    switch kind {
    case "image", "backingimage", "bi": break
    case "volume": throw Fault(.notSupported, "backups of volumes are not supported by this version of Drover")
    default: throw Fault(.invalid, "\"\(kind)\" can't be backed up", hint: "drover backup create image NAME")
    }
    var spec: [String: JSONValue] = [
      "backingImage": .string(name), "backupTargetName": .string(target), "userCreated": true,
    ]
    if !labelPairs.isEmpty { spec["labels"] = .object(try labels(labelPairs)) }
    if let compression { spec["compressionMethod"] = .string(compression) }
    let manifest: JSONValue = [
      "apiVersion": .string(ResourceDocument.apiVersion),
      "kind": .string(ResourceKind.backupBackingImage.manifestName),
      "spec": .object(spec),
    ]
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(dryRun: dryRun), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest, position: "backup of image \(name)")])
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
