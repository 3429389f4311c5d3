import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem

/// The program `drover-export`: descriptor 0 is the channel to whoever started it, until it has said that it serves.
public enum ExportProgram {
  /// Does what the order says and ends the process. No signal of a parent's death, and a session of its own.
  public static func run() -> Never {
    signal(SIGPIPE, SIG_IGN)
    // Whoever starts it as a new session has done this already.
    _ = setsid()
    _ = chdir("/")
    let signals = StopSignals()
    let notes = WorkerProgram.callNotes()
    notes?.markCrashes()
    do {
      let channel = FrameChannel(adopting: try Confinement.moveAside(0))
      try? Confinement.denyNewProcesses()
      try? Confinement.limitMemory(WorkerProgram.mostMemory)
      let code = Export(channel, notes: notes, signals: signals).run()
      // Plugins stay loaded and their threads may still run: no destructors.
      _exit(code)
    } catch {
      _exit(1)
    }
  }
}
