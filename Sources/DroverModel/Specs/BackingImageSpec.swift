extension BackingImage {
  /// `spec` of a BackingImage, checked.
  public struct Spec: Sendable, Hashable {
    public var source: Source
    /// SHA-512 that the file must have, 128 lower-case hexadecimal digits.
    public var checksum: String?
    /// Drover's own: stages over the source, the lowest first.
    public var filters: [Filter]
    /// Reference to the secret of an encrypted image.
    public var secret: String?
    public var secretNamespace: String?
    /// Kept, without effect on a single host.
    public var inert: [String: JSONValue]

    public init(
      source: Source, checksum: String? = nil, filters: [Filter] = [], secret: String? = nil,
      secretNamespace: String? = nil, inert: [String: JSONValue] = [:]
    ) {
      self.source = source
      self.checksum = checksum
      self.filters = filters
      self.secret = secret
      self.secretNamespace = secretNamespace
      self.inert = inert
    }
  }

  public struct Filter: Sendable, Hashable {
    /// Name of a filter stage in some plugin.
    public var stage: String
    public var params: [String: JSONValue]

    public init(stage: String, params: [String: JSONValue] = [:]) {
      self.stage = stage
      self.params = params
    }
  }
}

extension BackingImage.Spec {
  private static let inertFields = [
    "disks", "diskFileSpecMap", "minNumberOfCopies", "diskSelector", "nodeSelector",
  ]

  /// Checks `fields`. Throws `invalid`, or `not-supported` for what this version can't do.
  public static func read(
    _ fields: [String: JSONValue], validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    let sourceType = try reader.text("sourceType")
    let parameters = try reader.object("sourceParameters") ?? [:]
    let checksum = try reader.text("checksum")
    if let checksum { try checkChecksum(checksum, reader) }
    let secret = try reader.text("secret")
    let secretNamespace = try reader.text("secretNamespace")
    let filters = try readFilters(&reader, validation)
    if let engine = try reader.text("dataEngine"), engine != "v1" {
      throw Fault(
        .notSupported, "spec.dataEngine: \"\(ResourceName.printable(engine))\" is not supported", hint: "v1 is")
    }
    let inert = reader.inert(inertFields)
    try reader.finish(validation)
    // After the unknown fields: where `sourceType` is mistyped, what its source lacks is no news.
    var inner = FieldReader(parameters, path: "spec.sourceParameters")
    let source = try BackingImage.Source.read(type: sourceType, &inner, validation)
    if !parameters.isEmpty { reader.keep("sourceParameters", inner) }
    var checked = Self(
      source: source, checksum: checksum, filters: filters, secret: secret, secretNamespace: secretNamespace,
      inert: inert)
    try checked.settleEncryption(&reader)
    return CheckedSpec(spec: checked, fields: reader.kept, warnings: reader.warnings)
  }

  /// The secret of an encrypted image; nil where none is known.
  public var secretReference: SecretReference? {
    secret.map { SecretReference(namespace: secretNamespace, name: $0) }
  }

  /// As Longhorn's admission does: what the parameters say of the secret goes into the spec, and a checksum of bytes that
  /// nobody can know beforehand is dropped.
  private mutating func settleEncryption(_ reader: inout FieldReader) throws(Fault) {
    try secretReference?.check()
    guard source.encryption != .ignore else { return }
    if checksum != nil {
      reader.warnings.append("spec.checksum is discarded: the result of \(source.encryption.word) has another one")
      checksum = nil
      reader.keep("checksum", nil as JSONValue?)
    }
    let own = source.encryption.secretOfResult
    if let secretReference, secretReference != own {
      throw reader.fault(
        "secret",
        own.map { "is \(secretReference), but the parameters encrypt with \($0)" }
          ?? "is \(secretReference), but the result of \(source.encryption.word) is not encrypted",
        hint: "leave spec.secret and spec.secretNamespace out")
    }
    secret = own?.name
    secretNamespace = own?.namespace
    reader.keep("secret", own.map { .string($0.name) })
    reader.keep("secretNamespace", own.map { .string($0.namespace) })
  }

  private static func checkChecksum(_ checksum: String, _ reader: FieldReader) throws(Fault) {
    guard !isSHA512(checksum) else { return }
    let shown = ResourceName.printable(checksum)
    if isSHA512(checksum.lowercased()) {
      throw reader.fault("checksum", "has capital letters: \"\(shown)\"", hint: "write it in lower case")
    }
    throw reader.fault(
      "checksum", "must be a SHA-512 of 128 hexadecimal digits, not \(checksum.count) characters: \"\(shown)\"",
      hint: "sha512sum FILE prints it")
  }

  private static func readFilters(
    _ reader: inout FieldReader, _ validation: Validation
  ) throws(Fault) -> [BackingImage.Filter] {
    var filters: [BackingImage.Filter] = []
    for (index, element) in (try reader.array("filters") ?? []).enumerated() {
      var inner = try FieldReader(element, path: "spec.filters[\(index)]")
      guard let stage = try inner.text("stage") else { throw inner.fault("stage", "is required") }
      let params = try inner.object("params") ?? [:]
      try inner.finish(validation)
      reader.warnings += inner.warnings
      filters.append(BackingImage.Filter(stage: stage, params: params))
    }
    return filters
  }
}

/// Whether `text` is 128 lower-case hexadecimal digits.
public func isSHA512(_ text: String) -> Bool {
  text.utf8.count == 128
    && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
}
