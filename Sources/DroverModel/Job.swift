/// One unit of work, as it stands in the catalog.
public struct Job: Sendable, Hashable, Codable {
  /// `job-` and 16 hexadecimal digits.
  public var id: String
  public var kind: Kind
  /// The resource that the job works for. Two jobs never write one resource at a time.
  public var owner: ResourceKey
  /// Resources that the job reads, and that can't be deleted while it is not over.
  public var reads: [ResourceKey]
  public var pipeline: Pipeline
  public var state: State
  /// Of the running attempt, or the last one; 0 before the first.
  public var attempt: Int
  public var error: Fault?
  /// What the stages said of the result (checksum, size, url, …); filled when it succeeded.
  public var result: [String: JSONValue]
  /// Name of the backup target whose limit the job counts against.
  public var target: String?
  /// Seconds since 1970.
  public var createdAt: Double
  public var startedAt: Double?
  public var finishedAt: Double?
  /// Not before this time; seconds since 1970.
  public var runAfter: Double?

  public init(
    id: String, kind: Kind, owner: ResourceKey, reads: [ResourceKey] = [], pipeline: Pipeline, state: State = .pending,
    attempt: Int = 0, error: Fault? = nil, result: [String: JSONValue] = [:], target: String? = nil, createdAt: Double,
    startedAt: Double? = nil, finishedAt: Double? = nil, runAfter: Double? = nil
  ) {
    self.id = id
    self.kind = kind
    self.owner = owner
    self.reads = reads
    self.pipeline = pipeline
    self.state = state
    self.attempt = attempt
    self.error = error
    self.result = result
    self.target = target
    self.createdAt = createdAt
    self.startedAt = startedAt
    self.finishedAt = finishedAt
    self.runAfter = runAfter
  }

  public enum Kind: String, Sendable, Codable, CaseIterable {
    /// `import` is a sourceType that is not built in: some plugin's source stage.
    case download, upload, clone, restore, backup, save, `import`, inspect
    case deleteBackup = "delete-backup"
    case probe, sync
    /// Of volumes. `export` makes an image of one.
    case createVolume = "create-volume"
    case deleteVolume = "delete-volume"
    case snapshot, revert, export
    case deleteSnapshot = "delete-snapshot"
    /// Of a whole store: reading it in place, and removing what nothing needs.
    case verify, gc
  }

  public enum State: String, Sendable, Codable, CaseIterable {
    case pending, running, paused, succeeded, failed, cancelled
    public var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
  }

  /// How far a running job is. Lives in memory only.
  public struct Progress: Sendable, Hashable, Codable {
    /// What it does just now, for people: `copying`, `waiting for lock`, `hashing`, `committing`.
    public var phase: String
    /// Confirmed by the sink; holes count as done when they are passed.
    public var bytesDone: Int64
    /// Nil where the source doesn't tell.
    public var bytesTotal: Int64?
    public var bytesPerSecond: Double
    public var etaSeconds: Double?
    /// Seconds since the last confirmed byte.
    public var stalledSeconds: Double

    public init(
      phase: String, bytesDone: Int64 = 0, bytesTotal: Int64? = nil, bytesPerSecond: Double = 0,
      etaSeconds: Double? = nil, stalledSeconds: Double = 0
    ) {
      self.phase = phase
      self.bytesDone = bytesDone
      self.bytesTotal = bytesTotal
      self.bytesPerSecond = bytesPerSecond
      self.etaSeconds = etaSeconds
      self.stalledSeconds = stalledSeconds
    }

    /// 0-99: never 100 before the commit.
    public var percent: Int {
      guard let bytesTotal, bytesTotal > 0 else { return 0 }
      return min(99, Int(Double(bytesDone) / Double(bytesTotal) * 100))
    }
  }
}
