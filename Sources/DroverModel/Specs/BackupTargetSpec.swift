extension BackupTarget {
  /// `spec` of a BackupTarget, checked.
  public struct Spec: Sendable, Hashable {
    public var url: TargetURL
    /// Seconds between two looks at the store; 0: never.
    public var pollSeconds: Double
    /// Name of a Secret with the keys that the target's driver reads; only a bucket needs one.
    public var credentialSecret: String?
    /// Kept, without effect.
    public var inert: [String: JSONValue]

    public init(
      url: TargetURL, pollSeconds: Double = 300, credentialSecret: String? = nil, inert: [String: JSONValue] = [:]
    ) {
      self.url = url
      self.pollSeconds = pollSeconds
      self.credentialSecret = credentialSecret
      self.inert = inert
    }

    /// The Secret that what reaches the store must be given; nil where the store wants none.
    public var credentials: SecretReference? {
      guard case .bucket = url.place else { return nil }
      return credentialSecret.map { SecretReference(name: $0) }
    }
  }
}

extension BackupTarget.Spec {
  public static func read(
    _ fields: [String: JSONValue], validation: Validation = .strict
  ) throws(Fault) -> CheckedSpec<Self> {
    var reader = FieldReader(fields, path: "spec")
    guard let text = try reader.text("backupTargetURL") else {
      throw reader.fault("backupTargetURL", "is required", hint: TargetURL.example)
    }
    let url = try TargetURL(text, field: "spec.backupTargetURL")
    var pollSeconds = 300.0
    if let interval = try reader.text("pollInterval") {
      guard let seconds = TimeSpan.parse(interval) else {
        throw reader.fault(
          "pollInterval", "is not a span of time: \"\(ResourceName.printable(interval))\"", hint: "write 5m0s")
      }
      pollSeconds = seconds
    }
    let secret = try reader.text("credentialSecret")
    switch url.place {
    case .bucket: break
    case .folder:
      if secret != nil { reader.warnings.append("spec.credentialSecret is kept, but a folder needs no credentials") }
    case .export(let export):
      if secret != nil { reader.warnings.append("spec.credentialSecret is kept, but NFS needs no credentials") }
      for option in export.mount.ineffective {
        reader.warnings.append(
          "the NFS option \"\(ResourceName.printable(option))\" has no effect: the target is not mounted")
      }
    }
    let inert = reader.inert(["syncRequestedAt"])
    try reader.finish(validation)
    return CheckedSpec(
      spec: Self(url: url, pollSeconds: pollSeconds, credentialSecret: secret, inert: inert), fields: reader.kept,
      warnings: reader.warnings)
  }
}
