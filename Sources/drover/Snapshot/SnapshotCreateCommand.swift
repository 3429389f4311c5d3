import ArgumentParser
import DroverModel
import Manifests

struct SnapshotCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "create", abstract: "Freeze what a volume holds now.")

  @Argument var volume: String
  @Argument(help: "Of the snapshot; without one, it is given a name.") var name: String?

  @Option(name: .customLong("label"), help: ArgumentHelp("May be given again.", valueName: "key=value"))
  var labelPairs: [String] = []

  @OptionGroup var waiting: WaitOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var spec: [String: JSONValue] = ["volume": .string(volume), "createSnapshot": true]
    if !labelPairs.isEmpty { spec["labels"] = .object(try labels(labelPairs)) }
    let metadata: [String: JSONValue] = name.map { ["name": .string($0)] } ?? [:]
    let manifest: JSONValue = [
      "apiVersion": .string(ResourceDocument.apiVersion), "kind": .string(ResourceKind.snapshot.manifestName),
      "metadata": .object(metadata), "spec": .object(spec),
    ]
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest, position: "snapshot of volume \(volume)")])
    if waiting.wait { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
