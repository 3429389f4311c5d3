import CLinux
import Glibc

extension OpenFile {
  /// A file without a name that lives in memory, as sparse as a file can be, and is gone when it is closed. Its `path`
  /// opens it once more, in this process only.
  public static func inMemory(_ name: String) throws(SystemError) -> OpenFile {
    let descriptor = unsafe clinux_memory_file(name)
    guard descriptor >= 0 else { throw .last("make a file in memory") }
    return OpenFile(adopting: descriptor, path: "/proc/self/fd/\(descriptor)")
  }

  /// A file without a name on the file system that `folder` lies on, gone when it is closed.
  public static func unnamed(in folder: String) throws(SystemError) -> OpenFile {
    let descriptor = unsafe clinux_open_unnamed(folder, 0o600)
    guard descriptor >= 0 else { throw .last("make a file in", path: folder) }
    return OpenFile(adopting: descriptor, path: "a file without a name in \(folder)")
  }
}
