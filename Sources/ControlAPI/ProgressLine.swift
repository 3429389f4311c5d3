/// A line of `--json-progress`: JSON with a `type`. A reader skips types and members that it does not know.
public enum ProgressLine: Sendable, Encodable {
  case progress(Progress)
  /// An object, or its job, changed its state.
  case event(subject: String, message: String)
  case error(ErrorResponse.Content)
  /// The last one.
  case summary(succeeded: Int, failed: Int, seconds: Double)

  /// Sizes in bytes.
  public struct Progress: Sendable, Hashable, Codable {
    /// `backingimage/parrot`.
    public var subject: String
    public var job: String?
    public var phase: String
    /// 0-100.
    public var percent: Int
    public var bytesDone: Int64?
    public var bytesTotal: Int64?
    public var bytesPerSecond: Int64?
    public var etaSeconds: Int64?
    public var attempt: Int?

    public init(
      subject: String, job: String? = nil, phase: String, percent: Int = 0, bytesDone: Int64? = nil,
      bytesTotal: Int64? = nil, bytesPerSecond: Int64? = nil, etaSeconds: Int64? = nil, attempt: Int? = nil
    ) {
      self.subject = subject
      self.job = job
      self.phase = phase
      self.percent = percent
      self.bytesDone = bytesDone
      self.bytesTotal = bytesTotal
      self.bytesPerSecond = bytesPerSecond
      self.etaSeconds = etaSeconds
      self.attempt = attempt
    }
  }

  private enum CodingKeys: String, CodingKey { case type, subject, message, succeeded, failed, seconds }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .progress(let progress):
      try container.encode("progress", forKey: .type)
      try progress.encode(to: encoder)
    case .event(let subject, let message):
      try container.encode("event", forKey: .type)
      try container.encode(subject, forKey: .subject)
      try container.encode(message, forKey: .message)
    case .error(let error):
      try container.encode("error", forKey: .type)
      try error.encode(to: encoder)
    case .summary(let succeeded, let failed, let seconds):
      try container.encode("summary", forKey: .type)
      try container.encode(succeeded, forKey: .succeeded)
      try container.encode(failed, forKey: .failed)
      try container.encode(seconds, forKey: .seconds)
    }
  }
}
