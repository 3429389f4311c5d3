import CLinux
import Glibc

/// What a file system keeps beside a file's content: short texts by names such as `user.x`. Not every one does.
extension OpenFile {
  /// Nil: there is none of that name, or the file system has no such thing.
  public func attribute(_ name: String) throws(SystemError) -> String? {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe clinux_attribute(descriptor, name, $0.baseAddress, $0.count)
    }
    if count >= 0 { return String(decoding: bytes[..<count], as: UTF8.self) }
    guard errno == ENODATA || errno == EOPNOTSUPP else { throw .last("fgetxattr", path: path) }
    return nil
  }

  /// False where the file system has no such thing, or no room for it.
  public func setAttribute(_ name: String, _ text: String) throws(SystemError) -> Bool {
    let bytes = Array(text.utf8)
    let result = unsafe bytes.withUnsafeBytes {
      unsafe clinux_set_attribute(descriptor, name, $0.baseAddress, $0.count)
    }
    if result == 0 { return true }
    guard [EOPNOTSUPP, ENOSPC, EDQUOT, E2BIG].contains(errno) else { throw .last("fsetxattr", path: path) }
    return false
  }

  public func removeAttribute(_ name: String) throws(SystemError) {
    guard unsafe clinux_remove_attribute(descriptor, name) == 0 || errno == ENODATA || errno == EOPNOTSUPP else {
      throw .last("fremovexattr", path: path)
    }
  }
}
