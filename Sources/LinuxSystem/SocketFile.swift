import Glibc

/// The file that a unix socket is bound to, seen from outside.
public enum SocketFile {
  /// In bytes; what the kernel takes in an address.
  public static let longestPath = SocketAddress.longestName

  /// Whether somebody listens there. An absent file, one that is no socket and one whose listener is gone are all
  /// false; a listener with a full queue is true. Throws where that can't be told, as without permission.
  public static func answers(_ path: String) throws(SystemError) -> Bool {
    guard var address = SocketAddress(path) else {
      throw SystemError("connect", path: path, errno: ENAMETOOLONG)
    }
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, kind, 0)
    guard descriptor >= 0 else { throw .last("socket") }
    defer { close(descriptor) }
    let code = unsafe address.withPointer { pointer, length in
      retrying { unsafe connect(descriptor, pointer, length) }
    }
    if code == 0 { return true }
    switch errno {
    case EAGAIN, EINPROGRESS: return true
    case ECONNREFUSED, ENOENT, ENOTSOCK, EPROTOTYPE: return false
    default: throw .last("connect", path: path)
    }
  }

  /// Sets the permission bits and, where one is named, the group.
  public static func setAccess(_ path: String, permissions: UInt32, group: UInt32?) throws(SystemError) {
    if let group {
      guard unsafe chown(path, uid_t.max, group) == 0 else { throw .last("chown", path: path) }
    }
    guard unsafe chmod(path, permissions) == 0 else { throw .last("chmod", path: path) }
  }
}

public enum UserGroup {
  /// The id of a group by its name or its number; nil where the system knows none.
  public static func id(_ name: String) throws(SystemError) -> UInt32? {
    if let number = UInt32(name) { return number }
    var entry = unsafe group()
    var found: UnsafeMutablePointer<group>?
    var buffer = [CChar](repeating: 0, count: 65536)
    let code = unsafe getgrnam_r(name, &entry, &buffer, buffer.count, &found)
    guard code == 0 || code == ENOENT else { throw SystemError("look up the group", path: name, errno: code) }
    return unsafe found == nil ? nil : entry.gr_gid
  }
}
