import CLinux
import Glibc

/// What a process that is about to run foreign code gives up first.
public enum Confinement {
  /// No thread may start a process or a program any more (EPERM), for good. Threads may still be started.
  public static func denyNewProcesses() throws(SystemError) {
    guard clinux_deny_new_processes() == 0 else { throw .last("seccomp") }
  }

  /// Where memory runs out this process goes first, whatever its size.
  public static func volunteerForOutOfMemory() throws(SystemError) {
    let file = try OpenFile.open("/proc/self/oom_score_adj", .readWrite)
    let failure: SystemError? = unsafe Array("1000".utf8).withUnsafeBytes { bytes in
      do throws(SystemError) {
        try unsafe file.write(bytes, at: 0)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  /// At most so many bytes of private memory, for good; what goes beyond is refused with ENOMEM.
  public static func limitMemory(_ bytes: UInt64) throws(SystemError) {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(2), &limit) == 0 else { throw .last("getrlimit") }  // RLIMIT_DATA
    limit.rlim_cur = min(limit.rlim_cur, rlim_t(bytes))
    limit.rlim_max = min(limit.rlim_max, rlim_t(bytes))
    guard unsafe setrlimit(__rlimit_resource_t(2), &limit) == 0 else { throw .last("setrlimit") }
  }

  /// Moves an open descriptor out of the way of foreign code that uses its number, and leaves `/dev/null` in its place.
  /// Returns the new number, which is closed on exec.
  public static func moveAside(_ descriptor: Int32) throws(SystemError) -> Int32 {
    let moved = clinux_move_descriptor(descriptor, 700)
    guard moved >= 0 else { throw .last("move a descriptor") }
    return moved
  }
}
