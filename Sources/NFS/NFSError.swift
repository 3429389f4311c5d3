/// Why a call to an NFS server failed.
public struct NFSError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    /// The server has answered, with an error number.
    case refused
    /// There is no connection, or it was lost.
    case disconnected
    /// No answer came in time.
    case timedOut
  }

  public var kind: Kind
  /// errno as libnfs has it, or 0.
  public var errno: Int32
  /// What was done, to what, and libnfs' own words.
  public var message: String

  init(_ kind: Kind, errno: Int32 = 0, _ message: String) {
    self.kind = kind
    self.errno = errno
    self.message = message
  }

  /// As if the server had answered so.
  public init(refused errno: Int32, _ message: String) { self.init(.refused, errno: errno, message) }

  public var description: String { message }

  /// What was named is not there.
  public var isAbsent: Bool { kind == .refused && (errno == 2 || errno == 20) }
  /// It is there already; also what a folder that is not empty answers to its removal.
  public var isInTheWay: Bool { kind == .refused && (errno == 17 || errno == 39) }
  /// The server knows the file handle no more.
  public var isStale: Bool { errno == 116 || message.contains("STALE") || message.contains("BADHANDLE") }
}
