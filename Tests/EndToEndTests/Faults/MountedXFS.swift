import Glibc
import LinuxSystem
import TestKit

/// A file system whose files can share blocks, in a file, mounted at a folder until the last reference goes.
final class MountedXFS {
  private let path: String

  init(_ path: String, file: String, megabytes: Int) throws {
    guard geteuid() == 0 else { throw SystemError("mount an xfs (needs root) at", path: path, errno: EPERM) }
    try OpenFile.open(file, .createNew(permissions: 0o600)).truncate(to: UInt64(megabytes) << 20)
    try Cryptsetup.run("/usr/sbin/mkfs.xfs", ["-q", "-m", "reflink=1", file])
    try Folder.create(path)
    try Cryptsetup.run("/usr/bin/mount", ["-o", "loop", file, path])
    self.path = path
  }

  deinit { umount2(path, Int32(MNT_DETACH)) }
}
