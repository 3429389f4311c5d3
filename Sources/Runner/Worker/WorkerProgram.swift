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
    let notes = callNotes()
    notes?.markCrashes()
    do {
      let channel = FrameChannel(adopting: try Confinement.moveAside(0))
      // A kernel without one of these still has the other lines of defence.
      try? Confinement.denyNewProcesses()
      try? Confinement.volunteerForOutOfMemory()
      try? Confinement.limitMemory(mostMemory)
      let code = Worker(channel, notes: notes, end: { _exit($0) }).run()
      // Plugins stay loaded and their threads may still run: no destructors.
      _exit(code)
    } catch {
      _exit(1)
    }
  }

  /// Far beyond what the pump and any stage needs, so that a leak ends the worker and not the host.
  static let mostMemory: UInt64 = 8 << 30

  static func callNotes() -> CallNotes? {
    let words = CommandLine.arguments
    guard let index = words.firstIndex(of: ChildProgram.callsOption), index + 1 < words.count,
      let descriptor = Int32(words[index + 1])
    else { return nil }
    return try? CallNotes(adopting: descriptor)
  }
}
