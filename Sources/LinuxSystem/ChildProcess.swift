import CLinux
import Glibc

/// A process that this one started and must wait for.
///
/// `spawn` is to be called on a thread that never ends, where the child asks for a signal on its parent's death.
public final class ChildProcess: Sendable {
  public let pid: Int32

  private init(pid: Int32) { self.pid = pid }

  public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)

    private static let names: [Int32: String] = [
      SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
      SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV",
      SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM", SIGSYS: "SIGSYS",
    ]

    public var description: String {
      switch self {
      case .code(let code): "exit code \(code)"
      case .signal(let number): "signal \(number)" + (Self.names[number].map { " (\($0))" } ?? "")
      }
    }
  }

  /// Starts `path` with exactly these arguments (the first is the program's name), this environment, and these
  /// descriptors (number in the parent, number in the child; a number may not stand on both sides for different ones). All
  /// others are closed in the child; its signal mask is empty and its signal actions are the default.
  public static func spawn(
    _ path: String, arguments: [String], environment: [String: String], descriptors: [(parent: Int32, child: Int32)],
    newSession: Bool = false
  ) throws(SystemError) -> ChildProcess {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // First out of the way of all target numbers, so that no dup2 overwrites a source that is still needed.
    let base = (descriptors.flatMap { [$0.parent, $0.child] }.max() ?? 2) + 1
    for (index, pair) in descriptors.enumerated() {
      unsafe posix_spawn_file_actions_adddup2(&actions, pair.parent, base + Int32(index))
    }
    for (index, pair) in descriptors.enumerated() {
      unsafe posix_spawn_file_actions_adddup2(&actions, base + Int32(index), pair.child)
    }
    let kept = max(2, descriptors.map(\.child).max() ?? 2)
    unsafe clinux_spawn_close_from(&actions, kept + 1)

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    if newSession { flags |= 0x80 }  // POSIX_SPAWN_SETSID, behind a feature-test macro
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    let argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
    let envp = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
    defer { unsafe (argv + envp).forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let code = unsafe posix_spawn(&pid, path, &actions, &attributes, argv, envp)
    guard code == 0 else { throw SystemError("start", path: path, errno: code) }
    return ChildProcess(pid: pid)
  }

  /// What a process has used until its end.
  public struct Usage: Sendable, Hashable {
    /// Of all its threads, in user and in system mode.
    public var cpuSeconds: Double
    /// The most that was resident at once.
    public var peakMemoryBytes: UInt64

    public init(cpuSeconds: Double, peakMemoryBytes: UInt64) {
      self.cpuSeconds = cpuSeconds
      self.peakMemoryBytes = peakMemoryBytes
    }
  }

  /// Blocks until the process has ended, and reaps it. To be called once.
  public func wait() throws(SystemError) -> ExitStatus { try waitForUsage().status }

  /// The same, with what it has used.
  public func waitForUsage() throws(SystemError) -> (status: ExitStatus, usage: Usage) {
    var status: Int32 = 0
    var used = rusage()
    guard retrying({ unsafe wait4(pid, &status, 0, &used) }) == pid else { throw .last("wait for process \(pid)") }
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    let usage = Usage(
      cpuSeconds: seconds(used.ru_utime) + seconds(used.ru_stime), peakMemoryBytes: UInt64(used.ru_maxrss) << 10)
    return (status & 0x7f == 0 ? .code((status >> 8) & 0xff) : .signal(status & 0x7f), usage)
  }

  /// Only before `wait` has returned: afterwards the number may belong to another process.
  public func kill(_ signal: Int32) { _ = Glibc.kill(pid, signal) }
}
