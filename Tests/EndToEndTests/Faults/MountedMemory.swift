import Glibc
import LinuxSystem

/// A small file system in memory, mounted at a folder until the last reference goes.
final class MountedMemory {
  private let path: String

  init(_ path: String, megabytes: Int) throws {
    guard geteuid() == 0 else { throw SystemError("mount a tmpfs (needs root) at", path: path, errno: EPERM) }
    try Folder.create(path)
    guard mount("none", path, "tmpfs", 0, "size=\(megabytes)m") == 0 else {
      throw SystemError("mount a tmpfs at", path: path, errno: errno)
    }
    self.path = path
  }

  deinit { umount2(path, Int32(MNT_DETACH)) }

  func remount(readOnly: Bool) throws {
    let flags = UInt(MS_REMOUNT) | (readOnly ? UInt(MS_RDONLY) : 0)
    guard mount("none", path, "tmpfs", flags, nil) == 0 else { throw SystemError("remount", path: path, errno: errno) }
  }

  /// Writes a file until nothing more fits.
  func fill(_ file: String) throws {
    let ballast = try OpenFile.open(file, .create(permissions: 0o600))
    let zeros = [UInt8](repeating: 1, count: 4096)
    var offset: UInt64 = 0
    do {
      while true {
        try zeros.withUnsafeBytes { try ballast.write($0, at: offset) }
        offset += UInt64(zeros.count)
      }
    } catch let error as SystemError where error.isNoSpace {}
  }
}
