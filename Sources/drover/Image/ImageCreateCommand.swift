import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc
import LinuxSystem
import Manifests

struct ImageCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make an image from a URL, a file, another image, a backup or a volume.")

  @Argument var name: String

  @Option(help: ArgumentHelp("Download it; http or https.", valueName: "url"))
  var fromUrl: String?

  @Option(help: ArgumentHelp("Upload a file; - is standard input.", valueName: "file"))
  var fromFile: String?

  @Option(help: ArgumentHelp("Copy another image.", valueName: "name"))
  var fromImage: String?

  @Flag(help: "With --from-image: encrypt it on the way, with --secret.")
  var encrypt = false

  @Flag(help: "With --from-image or --from-backup: decrypt it on the way, with --secret.")
  var decrypt = false

  @Flag(help: "With --from-image: another passphrase, from --new-secret; nothing is decrypted.")
  var rekey = false

  @Option(help: ArgumentHelp("The Secret whose passphrase opens or makes it.", valueName: "namespace/name"))
  var secret: String?

  @Option(
    help: ArgumentHelp("With --rekey: the Secret whose passphrase opens the result.", valueName: "namespace/name"))
  var newSecret: String?

  @Option(help: ArgumentHelp("Restore a backup: status.url of a BackupBackingImage.", valueName: "url"))
  var fromBackup: String?

  @Option(help: ArgumentHelp("Export the disk of a volume, with the image below it.", valueName: "name"))
  var fromVolume: String?

  @Option(help: ArgumentHelp("With --from-volume: what it held then, and not what it holds now.", valueName: "name"))
  var snapshot: String?

  @Option(help: ArgumentHelp("With --from-volume: raw.", valueName: "format"))
  var exportType: String?

  @Option(help: ArgumentHelp("With --from-backup: blocks at once.", valueName: "n"))
  var concurrentLimit: Int?

  @Option(help: ArgumentHelp("The file must have it.", valueName: "sha512"))
  var checksum: String?

  @Option(name: .customLong("label"), help: ArgumentHelp("May be given again.", valueName: "key=value"))
  var labelPairs: [String] = []

  @OptionGroup var waiting: WaitOptions

  @Flag(help: "Check everything, and plan, but change nothing.")
  var dryRun = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    let sources = [fromUrl, fromFile, fromImage, fromBackup, fromVolume].compactMap(\.self)
    guard sources.count == 1 else {
      throw ValidationError("Give one of --from-url, --from-file, --from-image, --from-backup and --from-volume.")
    }
    guard fromVolume != nil || (snapshot == nil && exportType == nil) else {
      throw ValidationError("--snapshot and --export-type go with --from-volume.")
    }
    guard concurrentLimit == nil || fromBackup != nil else {
      throw ValidationError("--concurrent-limit goes with --from-backup.")
    }
    try validateEncryption()
  }

  private func validateEncryption() throws {
    guard [encrypt, decrypt, rekey].count(where: \.self) <= 1 else {
      throw ValidationError("Give one of --encrypt, --decrypt and --rekey.")
    }
    guard !(encrypt || rekey) || fromImage != nil else {
      throw ValidationError("\(encrypt ? "--encrypt" : "--rekey") goes with --from-image.")
    }
    guard !decrypt || fromImage != nil || fromBackup != nil else {
      throw ValidationError("--decrypt goes with --from-image or --from-backup.")
    }
    let needsSecret = encrypt || decrypt || rekey
    guard needsSecret == (secret != nil) else {
      throw ValidationError(
        needsSecret
          ? "Give --secret NAMESPACE/NAME; drover secret create makes one."
          : "--secret goes with --encrypt, --decrypt or --rekey.")
    }
    guard rekey == (newSecret != nil) else {
      throw ValidationError(rekey ? "Give --new-secret NAMESPACE/NAME." : "--new-secret goes with --rekey.")
    }
  }

  /// `encryption` and the Secrets, as they stand in `sourceParameters`.
  private func encryption() throws(Fault) -> [String: JSONValue] {
    var parameters: [String: JSONValue] = [
      "encryption": encrypt ? "encrypt" : decrypt ? "decrypt" : rekey ? "rekey" : "ignore"
    ]
    for (key, text) in [("secret", secret), ("new-secret", newSecret)] {
      guard let text else { continue }
      let reference = try SecretReference(text)
      parameters[key] = .string(reference.name)
      parameters["\(key)-namespace"] = .string(reference.namespace)
    }
    return parameters
  }

  func run() throws {
    if let fromFile, !dryRun { return try upload(fromFile) }
    var application = Application(
      daemon: connection.daemon, options: ApplyOptions(dryRun: dryRun), output: ObjectOutput(format: output.format),
      display: progress.display(), quiet: progress.quiet)
    try application.apply([ManifestDocument(value: try manifest(), position: "image \(name)")])
    if waiting.wait, !dryRun { try application.wait(timeout: waiting.limit.timeout) }
    try application.end()
  }

  private func manifest() throws(Fault) -> JSONValue {
    var spec: [String: JSONValue] = [:]
    if let fromUrl {
      spec = ["sourceType": "download", "sourceParameters": ["url": .string(fromUrl)]]
    } else if let fromImage {
      var parameters = try encryption()
      parameters["backing-image"] = .string(fromImage)
      spec = ["sourceType": "clone", "sourceParameters": .object(parameters)]
    } else if let fromVolume {
      var parameters: [String: JSONValue] = [
        "volume-name": .string(fromVolume), "export-type": .string(exportType ?? "raw"),
      ]
      if let snapshot { parameters["snapshot-name"] = .string(snapshot) }
      spec = ["sourceType": "export-from-volume", "sourceParameters": .object(parameters)]
    } else if let fromBackup {
      var parameters = decrypt ? try encryption() : [:]
      parameters["backup-url"] = .string(fromBackup)
      if let concurrentLimit { parameters["concurrent-limit"] = .string(String(concurrentLimit)) }
      spec = ["sourceType": "restore", "sourceParameters": .object(parameters)]
    } else {
      spec = ["sourceType": "upload", "sourceParameters": [:]]
    }
    if let checksum { spec["checksum"] = .string(checksum) }
    var metadata: [String: JSONValue] = ["name": .string(name)]
    if !labelPairs.isEmpty { metadata["labels"] = .object(try labels(labelPairs)) }
    return [
      "apiVersion": .string(ResourceDocument.apiVersion), "kind": .string(ResourceKind.backingImage.manifestName),
      "metadata": .object(metadata), "spec": .object(spec),
    ]
  }

  /// Applies the image and sends its content; that ends when the image is ready, `--wait` or not.
  private func upload(_ path: String) throws {
    let source = try UploadSource(path)
    // Found here, nothing is left behind that waits for better content.
    if let size = source.size, size == 0 || !size.isMultiple(of: 512) {
      throw Fault(.badSize, "\(path) has \(size) bytes, but an image's size is a multiple of 512")
    }
    let daemon = connection.daemon
    let response = try daemon.apply(try manifest(), ApplyOptions())
    let display = progress.display()
    for warning in response.warnings where !progress.quiet {
      display.note("backingimage/\(name)", "warning: \(warning)")
    }
    Interrupts.watch()
    defer { display.clear() }
    let meter = TransferMeter("backingimage/\(name)", phase: "uploading", total: source.size, display)
    do {
      let image: Resource = try daemon.client.upload(
        APIPath.content(image: name), from: source.file.descriptor, size: source.size,
        isCancelled: { Interrupts.isPending }, progress: meter.advance)
      display.clear()
      let shown = ObjectOutput(format: output.format)
      if output.format == .table || output.format == .wide {
        let result = response.result == .created ? response.result : .configured
        print("\(shown.name(image)) \(result.rawValue)")
      } else {
        try shown.show(image)
      }
    } catch {
      display.clear()
      try Interrupts.check()
      throw error
    }
  }
}

/// What is uploaded: a file, a pipe, or standard input.
struct UploadSource {
  let file: OpenFile
  /// In bytes; nil where only the end will tell.
  let size: Int64?

  init(_ path: String) throws(Fault) {
    do {
      file =
        path == "-" ? OpenFile(adopting: dup(STDIN_FILENO), path: "standard input") : try OpenFile.open(path, .read)
      let status = try file.status()
      guard !status.isFolder else { throw Fault(.invalid, "\(path) is a folder") }
      size = status.isRegular && path != "-" ? Int64(status.size) : nil
    } catch let fault as Fault {
      throw fault
    } catch let error as SystemError {
      throw Fault(
        error.errno == ENOENT ? .notFound : .io, "reading \(path): \(String(cString: strerror(error.errno)))",
        retry: .never)
    } catch {
      throw Fault(.io, "reading \(path): \(error)", retry: .never)
    }
  }
}
