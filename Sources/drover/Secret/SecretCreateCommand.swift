import ArgumentParser
import ControlAPI
import DroverModel
import Manifests

struct SecretCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a Secret with a passphrase in it, CRYPTO_KEY_VALUE.",
    discussion: """
      The passphrase is asked for at the terminal, twice. With --passphrase-fd it is every byte that the descriptor gives
      up to its end, exactly: a line end at the end is a part of it.
      """)

  @Argument(help: ArgumentHelp("NAMESPACE/NAME, or NAME in longhorn-system.", valueName: "namespace/name"))
  var name: String

  @Option(help: ArgumentHelp("Read it from this descriptor: 0 is standard input.", valueName: "n"))
  var passphraseFd: Int32?

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let reference = try SecretReference(name)
    let daemon = connection.daemon
    guard try daemon.resourceIfPresent(reference.key) == nil else {
      throw Fault(
        .conflict, "\(reference.key) exists already",
        hint: "drover delete \(reference.key) removes it; drover apply changes it")
    }
    let passphrase = try passphraseFd.map(Passphrase.read) ?? Passphrase.ask(for: "\(reference.key)")
    guard !passphrase.isEmpty else {
      throw Fault(.invalid, "missing passphrase for encryption", hint: "an empty one opens nothing")
    }
    var application = Application(
      daemon: daemon, options: ApplyOptions(), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: manifest(reference, passphrase), position: "secret \(reference)")])
    try application.end()
  }

  private func manifest(_ reference: SecretReference, _ passphrase: SecretBytes) -> JSONValue {
    [
      "apiVersion": .string(ResourceKind.secret.apiVersion), "kind": .string(ResourceKind.secret.manifestName),
      "metadata": ["name": .string(reference.name), "namespace": .string(reference.namespace)],
      "type": .string(Secret.Spec().type),
      "data": .object([CryptoSettings.passphraseKey: .string(passphrase.withBytes(Base64.encode))]),
    ]
  }
}
