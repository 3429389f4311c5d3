/// One change that the daemon saw: a line of `/v1/events`.
public struct Event: Sendable, Hashable, Codable {
  /// Rises by one, also over restarts; `since=SEQ` gives what came after it.
  public var seq: Int64
  /// RFC 3339, UTC.
  public var time: String
  public var type: Kind
  /// Of the object, as in paths of the singular: `backingimage`, `job`.
  public var kind: String
  public var name: String
  /// The job that it is about or that caused it.
  public var job: String?
  /// For people.
  public var message: String

  public init(
    seq: Int64, time: String, type: Kind, kind: String, name: String, job: String? = nil, message: String = ""
  ) {
    self.seq = seq
    self.time = time
    self.type = type
    self.kind = kind
    self.name = name
    self.job = job
    self.message = message
  }

  /// What happened: stable, lower case with dashes. New ones may come; a reader skips what it does not know.
  public struct Kind: RawRepresentable, Sendable, Hashable, Codable, ExpressibleByStringLiteral {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public init(stringLiteral value: String) { rawValue = value }

    public static let created: Self = "created"
    public static let configured: Self = "configured"
    /// `status` of an object changed its state.
    public static let state: Self = "state"
    public static let deleted: Self = "deleted"
    public static let jobStarted: Self = "job-started"
    public static let jobSucceeded: Self = "job-succeeded"
    public static let jobFailed: Self = "job-failed"
    public static let jobRetrying: Self = "job-retrying"
    public static let jobCancelled: Self = "job-cancelled"
    public static let jobPaused: Self = "job-paused"
    public static let jobResumed: Self = "job-resumed"
    public static let warning: Self = "warning"
  }
}
