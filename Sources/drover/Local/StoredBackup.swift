import ArgumentParser
import DroverModel

/// A backup to read straight from its store, and what that takes.
struct StoredBackupOptions: ParsableArguments {
  @Flag(help: "Decrypt an image or a volume that is encrypted with LUKS, on the way.") var decrypt = false

  @Option(help: ArgumentHelp("Read the passphrase from this descriptor: 0 is standard input.", valueName: "n"))
  var passphraseFd: Int32?

  @Option(
    help: ArgumentHelp(
      "The target's credentials: KEY=VALUE lines with the names of a Longhorn Secret. Without it a bucket's come from "
        + "the AWS_* variables.", valueName: "file"))
  var credentials: String?

  func validate() throws {
    if passphraseFd != nil, !decrypt { throw ValidationError("--passphrase-fd is for --decrypt") }
  }

  /// The reading side of a pipeline.
  struct Source {
    var stages: [Pipeline.Stage]
    var secrets: [LocalJob.GivenSecret]
  }

  /// - Parameter cacheBytes: What is kept of what was read, for a reader that goes about in small steps.
  func source(_ url: String, params: [String: JSONValue], cacheBytes: Int64?) throws -> Source {
    var params = params
    params["url"] = .string(url)
    // The filter reads in steps of its own, which are no blocks.
    if let cacheBytes = cacheBytes ?? (decrypt ? 128 << 20 : nil) { params["cache"] = .int(cacheBytes) }
    var source = Source(stages: [Pipeline.Stage("restore", .source, params)], secrets: [])
    source.secrets = try GivenCredentials.read(file: credentials, for: url).map {
      LocalJob.GivenSecret(stage: 0, name: $0.name, bytes: $0.value)
    }
    if decrypt {
      let passphrase = try passphraseFd.map(Passphrase.read) ?? Passphrase.askOnce(for: "the backup")
      guard !passphrase.isEmpty else {
        throw Fault(.keyMissing, "missing passphrase for encryption", hint: "an empty one opens nothing")
      }
      source.stages.append(Pipeline.Stage("crypto", .filter, ["format": false, "image": .string(url)]))
      source.secrets.append(LocalJob.GivenSecret(stage: 1, name: "passphrase", bytes: passphrase))
    }
    return source
  }

  /// Whether the URL is one of a volume's backup; whether it is a good one its stage tells.
  static func isVolume(_ url: String) -> Bool {
    guard let query = url.firstIndex(of: "?") else { return false }
    return url[query...].contains("volume=")
  }
}

extension Fault {
  /// As a command tells it that reads a store without a daemon: there are no Secrets, and no job that would go on when the
  /// network is back.
  var withoutDaemon: Fault {
    switch code {
    case .network, .stalled:
      Fault(.targetUnreachable, message, hint: hint ?? "see whether the server can be reached, and try again")
    case .credentialsRefused:
      Fault(code, message, hint: "--credentials FILE names others; without it the AWS_* variables count")
    case .badBlock, .missingBlock:
      Fault(code, message, hint: "restore file --salvage gets what is left; \(hint ?? "")")
    default: self
    }
  }
}
