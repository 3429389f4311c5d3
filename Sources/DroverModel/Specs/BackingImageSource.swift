extension BackingImage {
  /// Where an image's bytes come from: `sourceType` and `sourceParameters`.
  public enum Source: Sendable, Hashable {
    /// `parameters` holds `url`, and what else the `download` stage takes.
    case download(parameters: [String: String])
    /// The content comes by `PUT /v1/backingimages/NAME/content`.
    case upload
    case clone(image: String, encryption: Encryption = .ignore)
    /// `targetName` names the BackupTarget; nil finds it by the URL. With `decrypt` the result is the plain image.
    case restore(backup: ImageBackupURL, concurrency: Int?, targetName: String?, decrypt: SecretReference? = nil)
    /// The disk of a volume, merged with the image below it. `snapshot` is nil for what it holds now.
    case exportFromVolume(volume: String, snapshot: String?)
    /// A source stage of some plugin; the engine knows which are loaded.
    case stage(name: String, parameters: [String: String])

    /// As in `sourceType`.
    public var type: String {
      switch self {
      case .download: "download"
      case .upload: "upload"
      case .clone: "clone"
      case .exportFromVolume: "export-from-volume"
      case .restore: "restore"
      case .stage(let name, _): name
      }
    }

    /// What is done with the bytes on their way.
    public var encryption: Encryption {
      switch self {
      case .clone(_, let encryption): encryption
      case .restore(_, _, _, .some(let secret)): .decrypt(secret)
      case .download, .upload, .restore, .exportFromVolume, .stage: .ignore
      }
    }
  }
}

extension BackingImage.Source {
  static func read(
    type: String?, _ reader: inout FieldReader, _ validation: Validation
  ) throws(Fault) -> Self {
    try reader.refuseUnknown(besides: parameterNames(of: type), validation)
    let source: Self
    switch type {
    case nil, "download": source = try download(&reader)
    case "upload": source = .upload
    case "clone": source = try clone(&reader)
    case "restore": source = try restore(&reader)
    case "export-from-volume": source = try exportFromVolume(&reader)
    case .some(let other): return try stage(other, &reader)
    }
    if let engine = try reader.text("data-engine"), engine != "v1" {
      if case .clone = source {
        throw Fault(.notSupported, "clone from a v2 backing image is not supported")
      }
      throw Fault(.notSupported, "\(reader.field("data-engine")): only v1 is supported")
    }
    try reader.finish(validation)
    return source
  }

  /// Nil where a plugin checks them itself.
  private static func parameterNames(of type: String?) -> [String]? {
    switch type {
    case nil, "download": ["url", "ca-file", "data-engine"]
    case "upload": ["data-engine"]
    case "export-from-volume": ["volume-name", "snapshot-name", "export-type", "data-engine"]
    case "clone": ["backing-image", "backing-image-uuid", "data-engine"] + encryptionNames
    case "restore": ["backup-url", "concurrent-limit", "backup-target-name", "data-engine"] + encryptionNames
    default: nil
    }
  }

  private static let encryptionNames = [
    "encryption", "secret", "secret-namespace", "new-secret", "new-secret-namespace",
  ]

  private static func download(_ reader: inout FieldReader) throws(Fault) -> Self {
    guard let url = try reader.text("url") else { throw reader.fault("url", "is required for a download") }
    try checkWebURL(url, &reader)
    var parameters = ["url": url]
    if let file = try reader.text("ca-file") {
      guard file.hasPrefix("/") else { throw reader.fault("ca-file", "must be an absolute path") }
      parameters["ca-file"] = file
    }
    return .download(parameters: parameters)
  }

  private static func checkWebURL(_ url: String, _ reader: inout FieldReader) throws(Fault) {
    let shown = ResourceName.printable(url)
    guard let colon = url.range(of: "://"), ["http", "https"].contains(url[..<colon.lowerBound].lowercased()) else {
      throw reader.fault("url", "must begin with http:// or https://: \"\(shown)\"")
    }
    let authority = url[colon.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    guard !host.isEmpty, !host.hasPrefix(":"),
      !url.unicodeScalars.contains(where: { $0.value <= 32 || $0.value == 127 })
    else { throw reader.fault("url", "is not valid: \"\(shown)\"") }
    if authority.contains("@") {
      reader.warnings.append("\(reader.field("url")) holds a password, which is kept and shown in clear")
    }
  }

  private static func clone(_ reader: inout FieldReader) throws(Fault) -> Self {
    guard let image = try reader.text("backing-image") else {
      throw reader.fault("backing-image", "is required for a clone: the name of the image to copy")
    }
    try ResourceName.checkReference(image, reader.field("backing-image"))
    let encryption = try BackingImage.Encryption.read(&reader, ["ignore", "encrypt", "decrypt", "rekey"])
    _ = try reader.text("backing-image-uuid")
    return .clone(image: image, encryption: encryption)
  }

  /// `snapshot-name` is Drover's own.
  private static func exportFromVolume(_ reader: inout FieldReader) throws(Fault) -> Self {
    guard let volume = try reader.text("volume-name") else {
      throw reader.fault("volume-name", "is required: the name of the volume to export")
    }
    try ResourceName.check(volume, .volume)
    let snapshot = try reader.text("snapshot-name")
    if let snapshot { try ResourceName.checkStored(snapshot, reader.field("snapshot-name")) }
    switch try reader.text("export-type") ?? "raw" {
    case "raw": break
    case "qcow2":
      throw Fault(
        .notSupported, "\(reader.field("export-type")): this version writes no qcow2 images",
        hint: "export-type: raw makes a sparse file; qemu-img convert -O qcow2 makes the other of it")
    case let other:
      throw reader.fault("export-type", "is \"\(ResourceName.printable(other))\"", hint: "raw or qcow2")
    }
    return .exportFromVolume(volume: volume, snapshot: snapshot)
  }

  private static func restore(_ reader: inout FieldReader) throws(Fault) -> Self {
    guard let url = try reader.text("backup-url") else {
      throw reader.fault("backup-url", "is required for a restore: status.url of a BackupBackingImage")
    }
    let backup = try ImageBackupURL(url, field: reader.field("backup-url"))
    let concurrency = try reader.integer("concurrent-limit", 1...64)
    let targetName = try reader.text("backup-target-name")
    var secret: SecretReference?
    if case .decrypt(let reference) = try BackingImage.Encryption.read(&reader, ["ignore", "decrypt"]) {
      secret = reference
    }
    return .restore(
      backup: backup, concurrency: concurrency.map(Int.init), targetName: targetName, decrypt: secret)
  }

  /// A plugin's parameters are its own: any scalar goes, and the plugin checks them.
  private static func stage(_ name: String, _ reader: inout FieldReader) throws(Fault) -> Self {
    var parameters: [String: String] = [:]
    for key in reader.unread {
      guard let value = reader.value(key), let text = value.scalarText?.trimmed else {
        throw reader.fault(ResourceName.printable(key), "must be a string")
      }
      parameters[key] = text
    }
    return .stage(name: name, parameters: parameters)
  }
}
