import ArgumentParser
import DroverModel
import Manifests

struct VolumeCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a volume, empty or over an image.",
    discussion: "Over an image it begins with what that holds; only what is written later takes space.")

  @Argument var name: String

  @Option(help: ArgumentHelp("Bytes, or K M G T, all binary; rounded up to 2 MiB.", valueName: "size"))
  var size: String

  @Option(help: ArgumentHelp("The image that it lies over.", valueName: "name"))
  var image: String?

  @Flag(help: "What is written is encrypted; with an encrypted --image only.")
  var encrypted = false

  @Option(help: ArgumentHelp("The Secret that opens it, where it is not the image's.", valueName: "namespace/name"))
  var secret: String?

  @Option(name: .customLong("label"), help: ArgumentHelp("May be given again.", valueName: "key=value"))
  var labelPairs: [String] = []

  @OptionGroup var waiting: WaitOptions

  @Flag(help: "Check everything, and plan, but change nothing.")
  var dryRun = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    guard let bytes = ByteSize.parse(size) else {
      throw Fault(.invalid, "--size \(size) is no size", hint: "write bytes, or 10G")
    }
    var spec: [String: JSONValue] = ["size": .string(String(bytes))]
    if let image { spec["backingImage"] = .string(image) }
    if encrypted { spec["encrypted"] = true }
    if let secret {
      let reference = try SecretReference(secret)
      spec["secret"] = .string(reference.name)
      spec["secretNamespace"] = .string(reference.namespace)
    }
    var metadata: [String: JSONValue] = ["name": .string(name)]
    if !labelPairs.isEmpty { metadata["labels"] = .object(try labels(labelPairs)) }
    let manifest: JSONValue = [
      "apiVersion": .string(ResourceDocument.apiVersion), "kind": .string(ResourceKind.volume.manifestName),
      "metadata": .object(metadata), "spec": .object(spec),
    ]
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(dryRun: dryRun), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest, position: "volume \(name)")])
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
