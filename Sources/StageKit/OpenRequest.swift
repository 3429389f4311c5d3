/// What a stage is opened with. Valid until the device is closed. See `drover_open`.
public struct OpenRequest {
  public enum Role: UInt32, Sendable { case source = 1, filter = 2, sink = 4, task = 8 }
  public var role: Role
  public var writable: Bool
  /// A JSON object; decode it with `params(as:)`.
  public var params: String
  public var secrets: [Secret]
  public var job: String
  public var jobFolder: String
  public var attempt: Int
  public var concurrency: Int
  public var stallSeconds: Int
  /// Token of the last recorded checkpoint; nil begins anew.
  public var checkpoint: [UInt8]?
  /// Filters: the device below.
  public var lower: (any Device)?
  /// The writing side: top of the reading side.
  public var source: (any Device)?

  /// Bytes are the host's and wiped by it; never copy them to disk, log or error.
  public struct Secret {
    public var name: String
    public var bytes: UnsafeRawBufferPointer
    public init(name: String, bytes: UnsafeRawBufferPointer) {
      self.name = name
      self.bytes = bytes
    }
  }

  public init(
    role: Role, writable: Bool, params: String, secrets: [Secret] = [], job: String, jobFolder: String,
    attempt: Int = 1,
    concurrency: Int = 1, stallSeconds: Int = 30, checkpoint: [UInt8]? = nil, lower: (any Device)? = nil,
    source: (any Device)? = nil
  ) {
    self.role = role
    self.writable = writable
    self.params = params
    self.secrets = secrets
    self.job = job
    self.jobFolder = jobFolder
    self.attempt = attempt
    self.concurrency = concurrency
    self.stallSeconds = stallSeconds
    self.checkpoint = checkpoint
    self.lower = lower
    self.source = source
  }
}

/// The host's services. May be used from any thread until the device is closed.
public protocol Host: Sendable {
  func log(_ level: LogLevel, _ message: String)
  var isCancelled: Bool { get }
  /// `json` is one object.
  func emit(_ kind: String, json: String)
  /// Counts as a sign of life.
  func phase(_ phase: String, detail: String?)
  func progress(done: UInt64, total: UInt64)
}

public enum LogLevel: UInt32, Sendable { case debug, info, warning, error }
