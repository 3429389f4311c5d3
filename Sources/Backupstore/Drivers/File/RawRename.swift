import Glibc
import LinuxSystem

/// rename(2) alone: the folder is synced later, once for many files.
enum RawRename {
  static func replace(_ from: String, _ to: String) throws(SystemError) {
    guard rename(from, to) == 0 else { throw SystemError("rename \(from) to", path: to, errno: errno) }
  }
}
