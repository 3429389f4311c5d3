public import DroverModel

/// What the planner must know of the world, as the engine found it. Nothing here is looked up later.
public struct Facts: Sendable {
  /// Absolute.
  public var stateFolder: String
  /// By name.
  public var images: [String: ImageFacts]
  /// By name.
  public var backups: [String: BackupFacts]
  /// By name.
  public var targets: [String: TargetURL]
  /// By the name of a target: the Secret that what reaches it must be given.
  public var credentials: [String: SecretReference]
  public var secrets: [SecretReference: SecretFacts]
  /// By name.
  public var volumes: [String: VolumeFacts] = [:]
  /// By name.
  public var volumeBackups: [String: VolumeBackupFacts] = [:]

  public init(
    stateFolder: String, images: [String: ImageFacts] = [:], backups: [String: BackupFacts] = [:],
    targets: [String: TargetURL] = [:], credentials: [String: SecretReference] = [:],
    secrets: [SecretReference: SecretFacts] = [:]
  ) {
    self.stateFolder = stateFolder
    self.images = images
    self.backups = backups
    self.targets = targets
    self.credentials = credentials
    self.secrets = secrets
  }

  /// Of a Secret: what is no secret.
  public struct SecretFacts: Sendable, Hashable {
    /// The values of `CryptoSettings.settingKeys`.
    public var settings: [String: String]
    /// Whether it has a `CryptoSettings.passphraseKey` that is not empty.
    public var hasPassphrase: Bool
    /// Why its values can't be opened now.
    public var fault: Fault?

    public init(settings: [String: String] = [:], hasPassphrase: Bool = true, fault: Fault? = nil) {
      self.settings = settings
      self.hasPassphrase = hasPassphrase
      self.fault = fault
    }
  }

  /// Of an image: from its `status`.
  public struct ImageFacts: Sendable, Hashable {
    public var state: BackingImage.State
    /// Why it is in that state.
    public var message: String
    public var uuid: String
    /// Of the file; nil while there is none.
    public var path: String?
    public var checksum: String?
    public var size: Int64?
    /// Of the disk that the file is the image of.
    public var virtualSize: Int64?
    public var encrypted: Bool
    public var secret: String?
    public var secretNamespace: String?

    public init(
      state: BackingImage.State, message: String = "", uuid: String, path: String? = nil, checksum: String? = nil,
      size: Int64? = nil, virtualSize: Int64? = nil, encrypted: Bool = false, secret: String? = nil,
      secretNamespace: String? = nil
    ) {
      self.state = state
      self.message = message
      self.uuid = uuid
      self.path = path
      self.checksum = checksum
      self.size = size
      self.virtualSize = virtualSize ?? size
      self.encrypted = encrypted
      self.secret = secret
      self.secretNamespace = secretNamespace
    }

    public init(_ status: BackingImage.Status) {
      self.init(
        state: status.state, message: status.message, uuid: status.uuid, path: status.path,
        checksum: status.checksum, size: status.size, virtualSize: status.virtualSize, encrypted: status.encrypted,
        secret: status.secret, secretNamespace: status.secretNamespace)
    }
  }

  /// Of an image's backup: from its `spec` and `status`.
  public struct BackupFacts: Sendable, Hashable {
    public var image: String
    public var targetName: String
    public var state: BackupBackingImage.State
    public var checksum: String?
    /// Why it is in that state.
    public var error: String

    public init(
      image: String, targetName: String, state: BackupBackingImage.State, checksum: String? = nil, error: String = ""
    ) {
      self.image = image
      self.targetName = targetName
      self.state = state
      self.checksum = checksum
      self.error = error
    }
  }
}
