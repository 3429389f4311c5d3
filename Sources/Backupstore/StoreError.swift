/// Why something with a store failed: what was being done, to which object, what was answered, and what to do next.
///
/// Whether to try again is decided once, where the error is made. No secret stands in any text.
public struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
  public var code: Code
  public var message: String
  public var hint: String
  public var retry: Retry
  /// errno, or 0.
  public var systemError: Int32
  /// Name of the block that is missing or bad.
  public var block: String?

  public init(_ code: Code, _ message: String, hint: String = "", retry: Retry? = nil, systemError: Int32 = 0) {
    self.code = code
    self.message = message
    self.hint = hint
    self.retry = retry ?? code.usualRetry
    self.systemError = systemError
  }

  public var description: String { message }

  /// See `Fault.Retry`.
  public enum Retry: Sendable { case never, transient, afterFix }

  /// Stable, lower case with dashes.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    public static let invalid = Code(rawValue: "invalid")
    public static let notFound = Code(rawValue: "not-found")
    public static let notSupported = Code(rawValue: "not-supported")
    public static let notPermitted = Code(rawValue: "not-permitted")
    public static let targetUnreachable = Code(rawValue: "target-unreachable")
    public static let credentialsRefused = Code(rawValue: "credentials-refused")
    public static let noSpace = Code(rawValue: "no-space")
    public static let io = Code(rawValue: "io")
    public static let network = Code(rawValue: "network")
    public static let timedOut = Code(rawValue: "timed-out")
    public static let cancelled = Code(rawValue: "cancelled")
    public static let locked = Code(rawValue: "locked")
    /// The own lock was not refreshed in time, or somebody removed it.
    public static let lockLost = Code(rawValue: "lock-lost")
    public static let conflict = Code(rawValue: "conflict")
    /// Something else in the store needs it.
    public static let inUse = Code(rawValue: "in-use")
    public static let contentConflict = Code(rawValue: "content-conflict")
    public static let unfinishedBackup = Code(rawValue: "unfinished-backup")
    /// A config that is no valid one.
    public static let badConfig = Code(rawValue: "bad-config")
    public static let badBlock = Code(rawValue: "bad-block")
    public static let missingBlock = Code(rawValue: "missing-block")
    public static let checksumMismatch = Code(rawValue: "checksum-mismatch")
    public static let sourceChanged = Code(rawValue: "source-changed")
    /// A backup that another one was to build upon is not what it was taken for.
    public static let baseUnusable = Code(rawValue: "base-unusable")
    public static let badSize = Code(rawValue: "bad-size")

    var usualRetry: Retry {
      switch self {
      case .locked, .lockLost, .io, .network, .timedOut, .baseUnusable: .transient
      case .targetUnreachable, .credentialsRefused, .notPermitted: .afterFix
      default: .never
      }
    }
  }

  static let cancelled = StoreError(.cancelled, "cancelled")
}
