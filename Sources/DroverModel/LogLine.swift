public enum LogLevel: String, Sendable, Codable { case debug, info, warning, error }

/// One line of a job's log.
public struct LogLine: Sendable, Hashable, Codable {
  /// Counted from 1 within the job, over all its attempts: a reader goes on after the last one it saw.
  public var line: Int
  /// RFC 3339, UTC.
  public var time: String
  public var attempt: Int
  public var level: LogLevel
  public var message: String

  public init(line: Int, time: String, attempt: Int, level: LogLevel, message: String) {
    self.line = line
    self.time = time
    self.attempt = attempt
    self.level = level
    self.message = message
  }
}
