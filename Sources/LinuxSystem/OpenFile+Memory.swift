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
}
