import LinuxSystem

/// Why something with a volume failed: what was being done, to which thing, what was answered, and what to do next.
public struct VolumeError: Error, Sendable, Hashable, CustomStringConvertible {
  public var code: Code
  public var message: String
  public var hint: String
  public var retry: Retry

  public init(_ code: Code, _ message: String, hint: String = "", retry: Retry = .never) {
    self.code = code
    self.message = message
    self.hint = hint
    self.retry = retry
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
    /// Exists, or is in a state that does not allow it.
    public static let conflict = Code(rawValue: "conflict")
    public static let locked = Code(rawValue: "locked")
    /// A volume's records or layers that can't be true.
    public static let badFormat = Code(rawValue: "bad-format")
    public static let badSize = Code(rawValue: "bad-size")
    /// A file system that can't keep a volume.
    public static let notSupported = Code(rawValue: "not-supported")
    public static let sourceChanged = Code(rawValue: "source-changed")
    public static let cancelled = Code(rawValue: "cancelled")
    public static let io = Code(rawValue: "io")
    /// The base that was named is no ancestor of the snapshot: everything must be compared.
    public static let baseMissing = Code(rawValue: "base-missing")
  }

  public static let cancelled = VolumeError(.cancelled, "cancelled")
}
