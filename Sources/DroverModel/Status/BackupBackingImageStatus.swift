extension BackupBackingImage {
  /// `status` of a BackupBackingImage. Sizes in bytes, times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    public var state: State
    /// 0-100; 100 only when `Completed`.
    public var progress: Int
    /// Empty where there is none.
    public var error: String
    /// `TARGET?backingImage=NAME`: what a restore names.
    public var url: String?
    public var backingImage: String
    public var checksum: String?
    public var size: Int64?
    public var labels: [String: String]
    public var compressionMethod: String?
    public var secret: String?
    public var secretNamespace: String?
    public var backupCreatedAt: String?
    public var lastSyncedAt: String?
    /// When all of its blocks were last read and found good: the time when that reading began.
    public var lastVerified: String?
    /// When its damage was found; nil while none is known.
    public var damagedAt: String?
    /// Of its blocks, how many are bad or missing; nil while no damage is known.
    public var damagedBlocks: Int64?
    /// Those of them that lie in the store still: a backup takes them for present and does not write them again. Nil while
    /// no damage is known, and where nobody counted them.
    public var damagedInPlace: Int64?
    /// Nobody deletes it before it is unpinned.
    public var pinned: Bool
    /// Written to the store by the job, after compression.
    public var newlyUploadedDataSize: Int64?
    /// Id of the job that works for it, or did so last.
    public var job: String?

    public init(
      state: State = .pending, progress: Int = 0, error: String = "", url: String? = nil, backingImage: String,
      checksum: String? = nil, size: Int64? = nil, labels: [String: String] = [:], compressionMethod: String? = nil,
      secret: String? = nil, secretNamespace: String? = nil, backupCreatedAt: String? = nil,
      lastSyncedAt: String? = nil, lastVerified: String? = nil, damagedAt: String? = nil,
      damagedBlocks: Int64? = nil, damagedInPlace: Int64? = nil, pinned: Bool = false,
      newlyUploadedDataSize: Int64? = nil, job: String? = nil
    ) {
      self.state = state
      self.progress = progress
      self.error = error
      self.url = url
      self.backingImage = backingImage
      self.checksum = checksum
      self.size = size
      self.labels = labels
      self.compressionMethod = compressionMethod
      self.secret = secret
      self.secretNamespace = secretNamespace
      self.backupCreatedAt = backupCreatedAt
      self.lastSyncedAt = lastSyncedAt
      self.lastVerified = lastVerified
      self.damagedAt = damagedAt
      self.damagedBlocks = damagedBlocks
      self.damagedInPlace = damagedInPlace
      self.pinned = pinned
      self.newlyUploadedDataSize = newlyUploadedDataSize
      self.job = job
    }

    /// What is missing takes its first value; a `state` that is not known is `Unknown`.
    public init(_ fields: [String: JSONValue]) {
      self.init(
        state: State(inStatus: fields),
        progress: fields["progress"]?.int.map(Int.init) ?? 0, error: fields["error"]?.string ?? "",
        url: fields["url"]?.string, backingImage: fields["backingImage"]?.string ?? "",
        checksum: fields["checksum"]?.string, size: fields["size"]?.int,
        labels: (fields["labels"]?.object ?? [:]).compactMapValues(\.string),
        compressionMethod: fields["compressionMethod"]?.string, secret: fields["secret"]?.string,
        secretNamespace: fields["secretNamespace"]?.string, backupCreatedAt: fields["backupCreatedAt"]?.string,
        lastSyncedAt: fields["lastSyncedAt"]?.string, lastVerified: fields["lastVerified"]?.string,
        damagedAt: fields["damagedAt"]?.string, damagedBlocks: fields["damagedBlocks"]?.int,
        damagedInPlace: fields["damagedInPlace"]?.int, pinned: fields["pinned"]?.bool ?? false,
        newlyUploadedDataSize: fields["newlyUploadedDataSize"]?.int, job: fields["job"]?.string)
    }

    public var fields: [String: JSONValue] {
      present([
        "state": .string(state.rawValue), "progress": .int(Int64(progress)), "error": .string(error),
        "url": .of(url), "backingImage": .string(backingImage), "checksum": .of(checksum), "size": .of(size),
        "labels": .object(labels.mapValues { .string($0) }), "compressionMethod": .of(compressionMethod),
        "secret": .of(secret), "secretNamespace": .of(secretNamespace), "backupCreatedAt": .of(backupCreatedAt),
        "lastSyncedAt": .of(lastSyncedAt), "lastVerified": .of(lastVerified),
        "damagedAt": .of(damagedAt), "damagedBlocks": .of(damagedBlocks), "damagedInPlace": .of(damagedInPlace),
        "pinned": pinned ? true : .null,
        "newlyUploadedDataSize": .of(newlyUploadedDataSize), "job": .of(job),
      ])
    }
  }
}

extension BackupBackingImage.State {
  /// Of a whole status: pending where there is none, unknown where it is not a known one.
  public init(inStatus fields: [String: JSONValue]) {
    self = fields["state"]?.string.map { Self(rawValue: $0) ?? .unknown } ?? .pending
  }
}
