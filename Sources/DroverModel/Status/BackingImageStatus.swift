extension BackingImage {
  /// `status` of a BackingImage. Sizes in bytes.
  public struct Status: Sendable, Hashable {
    public var state: State
    /// 0-100; 100 only when `ready`.
    public var progress: Int
    /// Why it waits or failed; empty where there is nothing to say.
    public var message: String
    /// Eight hexadecimal digits, the same from the object's creation on.
    public var uuid: String
    /// SHA-512 of the file.
    public var checksum: String?
    /// Of the file.
    public var size: Int64?
    /// Of the disk that the file is the image of.
    public var virtualSize: Int64?
    /// What the file takes on its file system.
    public var realSize: Int64?
    /// raw or qcow2.
    public var format: String?
    /// Whether the file begins with a LUKS header, as whoever wrote it found.
    public var encrypted: Bool
    /// What that header says: `version`, `cipher`, `keySize` in bits, `uuid`, `keySlots`.
    public var luks: [String: JSONValue]?
    /// Of the file, absolute; only when `ready`.
    public var path: String?
    /// Reference to the secret of an encrypted image: the spec's, or what the source had.
    public var secret: String?
    public var secretNamespace: String?
    /// Id of the job that works for it, or did so last.
    public var job: String?

    public init(
      state: State = .pending, progress: Int = 0, message: String = "", uuid: String, checksum: String? = nil,
      size: Int64? = nil, virtualSize: Int64? = nil, realSize: Int64? = nil, format: String? = nil,
      encrypted: Bool = false, luks: [String: JSONValue]? = nil, path: String? = nil, secret: String? = nil,
      secretNamespace: String? = nil,
      job: String? = nil
    ) {
      self.state = state
      self.progress = progress
      self.message = message
      self.uuid = uuid
      self.checksum = checksum
      self.size = size
      self.virtualSize = virtualSize
      self.realSize = realSize
      self.format = format
      self.encrypted = encrypted
      self.luks = luks
      self.path = path
      self.secret = secret
      self.secretNamespace = secretNamespace
      self.job = job
    }

    public var secretReference: SecretReference? {
      get { secret.map { SecretReference(namespace: secretNamespace, name: $0) } }
      set {
        secret = newValue?.name
        secretNamespace = newValue?.namespace
      }
    }

    /// What is missing takes its first value; a `state` that is not known is `unknown`.
    public init(_ fields: [String: JSONValue]) {
      self.init(
        state: fields["state"]?.string.map { State(rawValue: $0) ?? .unknown } ?? .pending,
        progress: fields["progress"]?.int.map(Int.init) ?? 0, message: fields["message"]?.string ?? "",
        uuid: fields["uuid"]?.string ?? "", checksum: fields["checksum"]?.string, size: fields["size"]?.int,
        virtualSize: fields["virtualSize"]?.int, realSize: fields["realSize"]?.int,
        format: fields["format"]?.string, encrypted: fields["encrypted"]?.bool ?? false,
        luks: fields["luks"]?.object,
        path: fields["path"]?.string, secret: fields["secret"]?.string,
        secretNamespace: fields["secretNamespace"]?.string, job: fields["job"]?.string)
    }

    public var fields: [String: JSONValue] {
      present([
        "state": .string(state.rawValue), "progress": .int(Int64(progress)), "message": .string(message),
        "uuid": .string(uuid), "checksum": .of(checksum), "size": .of(size), "virtualSize": .of(virtualSize),
        "realSize": .of(realSize), "format": .of(format), "encrypted": .bool(encrypted),
        "luks": luks.map { .object($0) } ?? .null, "path": .of(path),
        "secret": .of(secret), "secretNamespace": .of(secretNamespace), "job": .of(job),
      ])
    }
  }
}
