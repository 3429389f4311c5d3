/// What every layer above the wrappers throws, what a job's `error` holds and what the API answers.
///
/// `message` says what was being done, to which thing and what was answered; `hint` says what to do next. Neither ever
/// holds a secret. Whether to try again is decided once, where the error is made, and carried along.
public struct Fault: Error, Sendable, Hashable, Codable {
  /// Stable, lower case with dashes: scripts compare it. The ones that Drover itself makes are constants of this type;
  /// a plugin may bring its own.
  public var code: Code
  public var message: String
  public var hint: String?
  public var retry: Retry

  public init(_ code: Code, _ message: String, hint: String? = nil, retry: Retry? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
    self.retry = retry ?? code.usualRetry
  }

  public enum Retry: String, Sendable, Codable {
    /// The input is wrong: a checksum, a key, a format, no space.
    case never
    /// May pass by itself: the network, a lock that is held, a busy server.
    case transient
    /// Somebody must change something first: credentials, a target that can't be reached.
    case afterFix = "after-fix"
  }

  public struct Code: RawRepresentable, Sendable, Hashable, Codable, ExpressibleByStringLiteral {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public init(stringLiteral value: String) { rawValue = value }
  }
}

extension Fault.Code {
  public static let invalid: Self = "invalid"  // a manifest or an argument that is not valid
  public static let notFound: Self = "not-found"
  public static let unknownKind: Self = "unknown-kind"
  public static let conflict: Self = "conflict"  // exists with another spec, wrong state
  public static let inUse: Self = "in-use"
  public static let contentConflict: Self = "content-conflict"  // the name holds other content in the store
  public static let unfinishedBackup: Self = "unfinished-backup"
  public static let locked: Self = "locked"
  public static let checksumMismatch: Self = "checksum-mismatch"
  public static let badBlock: Self = "bad-block"
  public static let missingBlock: Self = "missing-block"
  public static let keyMissing: Self = "key-missing"
  public static let wrongKey: Self = "wrong-key"
  public static let badHeader: Self = "bad-header"  // of an encrypted image: damaged, or not true
  public static let noMemory: Self = "no-memory"
  public static let noSpace: Self = "no-space"
  public static let targetUnreachable: Self = "target-unreachable"
  public static let credentialsRefused: Self = "credentials-refused"
  public static let timedOut: Self = "timed-out"
  public static let cancelled: Self = "cancelled"
  public static let daemonUnreachable: Self = "daemon-unreachable"
  public static let notPermitted: Self = "not-permitted"
  public static let badSize: Self = "bad-size"  // not a multiple of 512
  public static let badFormat: Self = "bad-format"  // an image that can't be read: damaged, or not supported
  public static let sourceChanged: Self = "source-changed"
  public static let baseUnusable: Self = "base-unusable"  // a volume's backup can't build upon the one it was to
  public static let uploadInterrupted: Self = "upload-interrupted"
  public static let stalled: Self = "stalled"
  public static let hung: Self = "hung"
  public static let workerDied: Self = "worker-died"
  public static let unknownStage: Self = "unknown-stage"
  public static let pluginRefused: Self = "plugin-refused"
  public static let pluginMisbehaved: Self = "plugin-misbehaved"  // answered what the ABI does not allow
  public static let policyFailed: Self = "policy-failed"  // a script that was tried gave no valid answer
  public static let notSupported: Self = "not-supported"
  public static let io: Self = "io"
  public static let network: Self = "network"
  public static let internalError: Self = "internal"

  var usualRetry: Fault.Retry {
    switch self {
    case .locked, .network, .stalled, .hung, .workerDied, .io, .noMemory, .baseUnusable: .transient
    case .targetUnreachable, .credentialsRefused: .afterFix
    default: .never
    }
  }

  /// The exit code of `drover` for it. Source: docs/cli.md, "Output".
  public var exitCode: Int32 {
    switch self {
    case .invalid, .unknownKind, .unknownStage: 2
    case .notFound: 4
    case .conflict, .inUse, .contentConflict, .unfinishedBackup: 5
    case .locked: 6
    case .checksumMismatch, .badBlock, .missingBlock: 7
    case .keyMissing, .wrongKey: 8
    case .noSpace: 9
    case .targetUnreachable: 10
    case .timedOut: 11
    case .cancelled: 12
    case .daemonUnreachable: 13
    case .notPermitted, .credentialsRefused: 14
    default: 1
    }
  }
}
