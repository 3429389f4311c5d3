import CLinux
import Glibc

extension OpenFile {
  /// Makes this file a reflink of the whole of `source`. False: the file systems can't, and nothing has changed.
  public func cloneWhole(from source: OpenFile) throws(SystemError) -> Bool {
    if clinux_clone_file(descriptor, source.descriptor) == 0 { return true }
    switch Glibc.errno {
    case EOPNOTSUPP, ENOTTY, EXDEV, EINVAL, ENOSYS, EPERM, ETXTBSY: return false
    default: throw .last("reflink", path: path)
    }
  }

  /// Lets the kernel copy a range; returns the bytes copied, 0 at the end of `source`. Nil: not between these files,
  /// copy them otherwise.
  public func copyRange(
    from source: OpenFile, sourceOffset: UInt64, offset: UInt64, length: UInt64
  ) throws(SystemError) -> UInt64? {
    try Self.copyRange(
      from: source.descriptor, sourceOffset: sourceOffset, to: descriptor, offset: offset, length: length)
  }

  /// The same for descriptors that belong to somebody else.
  public static func copyRange(
    from source: Int32, sourceOffset: UInt64, to destination: Int32, offset: UInt64, length: UInt64
  ) throws(SystemError) -> UInt64? {
    var from = Int64(sourceOffset)
    var to = Int64(offset)
    let copied = retrying {
      unsafe clinux_copy_range(source, &from, destination, &to, Int(min(length, 1 << 30)))
    }
    if copied >= 0 { return UInt64(copied) }
    switch Glibc.errno {
    case EOPNOTSUPP, EXDEV, EINVAL, ENOSYS, EPERM: return nil
    default: throw .last("copy range")
    }
  }

  /// FICLONE between descriptors that belong to somebody else.
  public static func cloneWhole(from source: Int32, to destination: Int32) throws(SystemError) -> Bool {
    if clinux_clone_file(destination, source) == 0 { return true }
    switch Glibc.errno {
    case EOPNOTSUPP, ENOTTY, EXDEV, EINVAL, ENOSYS, EPERM, ETXTBSY: return false
    default: throw .last("reflink")
    }
  }
}
