import CLinux
import Glibc

/// What `stat` tells of a file. Times are nanoseconds since 1970.
public struct FileStatus: Sendable, Hashable {
  public var size: UInt64
  /// Blocks that the file has on disk, in bytes.
  public var allocatedBytes: UInt64
  public var modifiedNanoseconds: Int64
  public var changedNanoseconds: Int64
  public var inode: UInt64
  public var device: UInt64
  public var mode: UInt32
  public var owner: UInt32
  public var group: UInt32

  public var isFolder: Bool { mode & S_IFMT == S_IFDIR }
  public var isRegular: Bool { mode & S_IFMT == S_IFREG }
  public var isBlockDevice: Bool { mode & S_IFMT == S_IFBLK }
  public var isSymbolicLink: Bool { mode & S_IFMT == S_IFLNK }
  public var isSocket: Bool { mode & S_IFMT == S_IFSOCK }
  /// The permission bits, with set-id and sticky bits.
  public var permissions: UInt32 { mode & 0o7777 }

  /// Nil means certainly not there; an error means that nobody knows.
  public static func of(_ path: String, followLinks: Bool = true) throws(SystemError) -> FileStatus? {
    do throws(SystemError) {
      return try read(AT_FDCWD, path, followLinks)
    } catch  where error.isAbsent {
      return nil
    }
  }

  public static func of(descriptor: Int32, path: String? = nil) throws(SystemError) -> FileStatus {
    do throws(SystemError) {
      return try read(descriptor, "", true)
    } catch {
      throw SystemError(error.operation, path: path, errno: error.errno)
    }
  }

  private static func read(_ folder: Int32, _ path: String, _ follow: Bool) throws(SystemError) -> FileStatus {
    var raw = clinux_status()
    guard unsafe clinux_read_status(folder, path, follow ? 1 : 0, &raw) == 0 else {
      throw .last("stat", path: path)
    }
    return FileStatus(
      size: raw.size, allocatedBytes: raw.allocated_bytes, modifiedNanoseconds: raw.modified_nanoseconds,
      changedNanoseconds: raw.changed_nanoseconds, inode: raw.inode, device: raw.device, mode: raw.mode,
      owner: raw.owner, group: raw.group)
  }
}
