import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc
import LinuxSystem
import Manifests

struct ImageCreateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make an image from a URL, a file, another image or a backup.")

  @Argument var name: String

  @Option(help: ArgumentHelp("Download it; http or https.", valueName: "url"))
  var fromUrl: String?

  @Option(help: ArgumentHelp("Upload a file; - is standard input.", valueName: "file"))
  var fromFile: String?

  @Option(help: ArgumentHelp("Copy another image.", valueName: "name"))
  var fromImage: String?

  @Option(help: ArgumentHelp("Restore a backup: status.url of a BackupBackingImage.", valueName: "url"))
  var fromBackup: String?

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
    let sources = [fromUrl, fromFile, fromImage, fromBackup].compactMap(\.self)
    guard sources.count == 1 else {
      throw ValidationError("Give one of --from-url, --from-file, --from-image and --from-backup.")
    }
    guard concurrentLimit == nil || fromBackup != nil else {
      throw ValidationError("--concurrent-limit goes with --from-backup.")
    }
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
      spec = [
        "sourceType": "clone", "sourceParameters": ["backing-image": .string(fromImage), "encryption": "ignore"],
      ]
    } else if let fromBackup {
      var parameters: [String: JSONValue] = ["backup-url": .string(fromBackup)]
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
