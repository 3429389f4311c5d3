import ChildProtocol
import Dispatch
import DroverModel
import Glibc
import LinuxSystem
import Synchronization

/// Asks `drover-policy`, one question after the other. The process is started when it is first needed, killed where an
/// answer is overdue, and started again for the next question.
final class ProcessPolicyHost: PolicyHost {
  private let spawner: Spawner
  private let program: ChildProgram
  /// Blocks while it waits for the process, so it is a thread of its own and none of anybody's pool.
  private let queue = DispatchQueue(label: "drover.policy")
  /// Touched on the queue only.
  private let running = Mutex<StartedChild?>(nil)

  /// What a process has to end a script by itself after the deadline, and to send its answer.
  private static let graceMilliseconds = 250
  /// For a program to start on a busy machine.
  private static let startMilliseconds = 10_000

  init(path: String, spawner: Spawner, environment: [String: String]) {
    self.spawner = spawner
    program = ChildProgram(path: path, environment: Spawner.cleanEnvironment(environment))
  }

  func answer(to command: PolicyCommand) async -> PolicyReport {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: self.ask(command)) }
    }
  }

  private func ask(_ command: PolicyCommand) -> PolicyReport {
    let file = command.script.file
    do {
      let child = try child()
      try child.channel.send(command)
      let deadline = command.limits.deadlineMilliseconds
      guard child.channel.hasSomething(withinMilliseconds: deadline + Self.graceMilliseconds) else {
        end()
        return failed(.deadline, "\(file): not done within \(deadline) ms; the process that ran it was killed")
      }
      guard let report = try child.channel.receive(PolicyReport.self) else {
        return failed(.process, "\(file): the process that ran it ended with \(end() ?? "an unknown status")")
      }
      return report
    } catch {
      end()
      let why = (error as? Fault)?.message ?? "\(error)"
      return failed(.process, "\(file): the process that runs it failed: \(why)")
    }
  }

  private func failed(_ reason: PolicyFailure.Reason, _ message: String) -> PolicyReport {
    .failed(PolicyFailure(reason, message), printed: "")
  }

  /// One that has said hello.
  private func child() throws -> StartedChild {
    if let child = running.withLock({ $0 }) {
      // Between two questions it says nothing: something to read is its end.
      if !child.channel.hasSomething(withinMilliseconds: 0) { return child }
      end()
    }
    let child = try spawner.start(program)
    running.withLock { $0 = child }
    guard child.channel.hasSomething(withinMilliseconds: Self.startMilliseconds),
      case .hello(let version, _) = try child.channel.receive(PolicyReport.self)
    else {
      throw Fault(.internalError, "\(program.path) did not answer; it ended with \(end() ?? "an unknown status")")
    }
    guard version == DroverVersion.current else {
      throw Fault(.internalError, "\(program.path) is of version \(version), not \(DroverVersion.current)")
    }
    return child
  }

  /// Kills and reaps it. How it had ended, for people.
  @discardableResult
  private func end() -> String? {
    guard
      let child = running.withLock({ child in
        defer { child = nil }
        return child
      })
    else { return nil }
    child.process.kill(SIGKILL)
    child.channel.shutDown()
    return (try? child.process.wait())?.description
  }

  /// For tests: whether a process is there, and which.
  var pid: Int32? { running.withLock { $0?.process.pid } }
}

extension FrameChannel {
  /// Whether a frame, or the end, is there to be received within so long.
  fileprivate func hasSomething(withinMilliseconds milliseconds: Int) -> Bool {
    let deadline = BootClock.seconds() + Double(milliseconds) / 1000
    while true {
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let rest = max(0, (deadline - BootClock.seconds()) * 1000)
      let count = poll(&wanted, 1, Int32(min(rest.rounded(.up), 3_600_000)))
      if count > 0 { return true }
      if count == 0, BootClock.seconds() >= deadline { return false }
      if count < 0, errno != EINTR { return false }
    }
  }
}
