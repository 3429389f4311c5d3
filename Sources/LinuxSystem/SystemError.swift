import Glibc

/// A system call that failed: what was called, on which path, and what the kernel answered.
public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
  /// For people: `open`, `write`, `fsync`, …
  public var operation: String
  public var path: String?
  public var errno: Int32

  public init(_ operation: String, path: String? = nil, errno: Int32) {
    self.operation = operation
    self.path = path
    self.errno = errno
  }

  /// Takes `errno` as the last call on this thread left it.
  static func last(_ operation: String, path: String? = nil) -> SystemError {
    SystemError(operation, path: path, errno: Glibc.errno)
  }

  /// `No space left on device`, and so on.
  public var answer: String { unsafe String(cString: strerror(errno)) }

  public var description: String {
    if let path { "\(operation) \(path): \(answer)" } else { "\(operation): \(answer)" }
  }

  public var isNoSpace: Bool { errno == ENOSPC || errno == EDQUOT || errno == EFBIG }
  public var isAbsent: Bool { errno == ENOENT || errno == ENOTDIR }
}
