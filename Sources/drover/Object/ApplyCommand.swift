import ArgumentParser
import ControlAPI
import DroverModel
import Manifests

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply", abstract: "Create or update the objects of a manifest.",
    discussion: """
      Prints KIND/NAME created, configured or unchanged, a line for each object. A file holds one or several documents
      of YAML or JSON in Longhorn's form.
      """)

  @Option(
    name: .shortAndLong, help: ArgumentHelp("A manifest; - is standard input. May be given again.", valueName: "file"))
  var file: [String]

  @OptionGroup var waiting: WaitOptions

  @Flag(help: "Check everything, and plan, but change nothing.")
  var dryRun = false

  @Option(help: ArgumentHelp("What an unknown field is: strict (an error), warn or ignore.", valueName: "mode"))
  var validate: ValidationMode = .strict

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var documents: [ManifestDocument] = []
    for file in file {
      let bytes = try readInput(file, limit: ManifestDocument.longestFile)
      documents += try ManifestDocument.read(bytes, name: file == "-" ? "standard input" : file)
    }
    guard !documents.isEmpty else { throw Fault(.invalid, "\(file.joined(separator: ", ")): no document in it") }
    let options = ApplyOptions(dryRun: dryRun, validation: validate.validation)
    var application = Application(
      daemon: connection.daemon, options: options, output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply(documents)
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }
}
