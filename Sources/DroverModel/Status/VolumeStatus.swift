extension Volume {
  /// `status` of a Volume. Sizes in bytes, times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    public var state: State
    public var robustness: Robustness
    /// 0-100 while it is made; 100 once it is there.
    public var progress: Int
    /// Why it waits or failed; empty where there is nothing to say.
    public var message: String
    /// Of the volume itself: with the header of an encrypted one.
    public var size: Int64?
    /// What its layers take on their file system.
    public var actualSize: Int64?
    public var backingImage: String?
    public var encrypted: Bool
    public var secret: String?
    public var secretNamespace: String?
    /// Of an attached volume: `type`, `socket`, `uri`, `readOnly`.
    public var frontend: [String: JSONValue]?
    /// Its last complete backup: the name in the store.
    public var lastBackup: String?
    public var lastBackupAt: String?
    /// URL of the backup that it was restored from.
    public var restoredFrom: String?
    /// What the store says of that backup: `size`, `backingImage`, `backingImageChecksum`, `snapshotName`, `labels`,
    /// `encrypted`, `createdAt`.
    public var restore: [String: JSONValue]?
    /// Names of the layers, the head first.
    public var chain: [String]
    /// Of its folder, absolute; only once it is there.
    public var path: String?
    /// Id of the job that works for it, or did so last.
    public var job: String?

    public init(_ fields: [String: JSONValue]) {
      state = fields["state"]?.string.flatMap(State.init(rawValue:)) ?? .creating
      robustness = fields["robustness"]?.string.flatMap(Robustness.init(rawValue:)) ?? .unknown
      progress = fields["progress"]?.int.map(Int.init) ?? 0
      message = fields["message"]?.string ?? ""
      size = fields["size"]?.int
      actualSize = fields["actualSize"]?.int
      backingImage = fields["backingImage"]?.string
      encrypted = fields["encrypted"]?.bool ?? false
      secret = fields["secret"]?.string
      secretNamespace = fields["secretNamespace"]?.string
      frontend = fields["frontend"]?.object
      lastBackup = fields["lastBackup"]?.string
      lastBackupAt = fields["lastBackupAt"]?.string
      restoredFrom = fields["restoredFrom"]?.string
      restore = fields["restore"]?.object
      chain = (fields["chain"]?.array ?? []).compactMap(\.string)
      path = fields["path"]?.string
      job = fields["job"]?.string
    }

    public init() { self.init([:]) }

    public var secretReference: SecretReference? {
      get { secret.map { SecretReference(namespace: secretNamespace, name: $0) } }
      set {
        secret = newValue?.name
        secretNamespace = newValue?.namespace
      }
    }

    /// Its files are there and whole.
    public var isThere: Bool { path != nil && robustness == .healthy }

    public var fields: [String: JSONValue] {
      present([
        "state": .string(state.rawValue), "robustness": .string(robustness.rawValue),
        "progress": .int(Int64(progress)), "message": .string(message), "size": .of(size),
        "actualSize": .of(actualSize), "backingImage": .of(backingImage), "encrypted": .bool(encrypted),
        "secret": .of(secret), "secretNamespace": .of(secretNamespace),
        "frontend": frontend.map { .object($0) } ?? .null, "lastBackup": .of(lastBackup),
        "lastBackupAt": .of(lastBackupAt), "restoredFrom": .of(restoredFrom),
        "restore": restore.map { .object($0) } ?? .null,
        "chain": chain.isEmpty ? .null : .array(chain.map { .string($0) }), "path": .of(path), "job": .of(job),
      ])
    }
  }
}
