import ChildProtocol
import Glibc
import LinuxSystem

/// The program `drover-worker`: descriptor 0 is the channel to whoever started it.
public enum WorkerProgram {
  /// Does what the channel says and ends the process.
  public static func run() -> Never {
    signal(SIGPIPE, SIG_IGN)
    // The second line only: a starter that ended before this call shows as the end of the channel.
    try? ParentDeath.killWithParent()
    let code = Worker(FrameChannel(adopting: 0), end: { _exit($0) }).run()
    // Plugins stay loaded and their threads may still run: no destructors.
    _exit(code)
  }
}
