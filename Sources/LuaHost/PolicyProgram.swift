import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem

/// The program `drover-policy`: descriptor 0 is the channel to the daemon.
///
/// One thread only reads the channel, and ends the process with it, whatever a script does meanwhile. The daemon also
/// kills the process where an answer is overdue.
public enum PolicyProgram {
  public static func run() -> Never {
    signal(SIGPIPE, SIG_IGN)
    // The second line only: a starter that ended before this call shows as the end of the channel.
    try? ParentDeath.killWithParent()
    let channel = FrameChannel(adopting: 0)
    let questions = Questions()
    do {
      try SystemThread.start("channel") {
        while let command = try? channel.receive(PolicyCommand.self) { questions.add(command) }
        _exit(0)
      }
      try channel.send(PolicyReport.hello(version: DroverVersion.current, pid: getpid()))
      while true { try channel.send(LuaHost.answer(to: questions.next())) }
    } catch {
      _exit(1)
    }
  }
}
