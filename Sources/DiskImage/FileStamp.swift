public import LinuxSystem

/// What changes when somebody changes a file: while it is equal, what was computed over the bytes is still true.
public struct FileStamp: Sendable, Hashable {
  public var inode: UInt64
  public var size: UInt64
  /// Nanoseconds since 1970.
  public var modified: Int64
  /// Nanoseconds since 1970. Can't be set back by a program, as the time of modification can.
  public var changed: Int64

  public init(_ status: FileStatus) {
    inode = status.inode
    size = status.size
    modified = status.modifiedNanoseconds
    changed = status.changedNanoseconds
  }

  /// `INODE-SIZE-MTIME-CTIME`, to be compared only.
  public var text: String { "\(inode)-\(size)-\(modified)-\(changed)" }
}
