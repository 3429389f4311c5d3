import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem

/// A worker process' conversation with the daemon, over one channel.
///
/// One thread only reads the channel, and ends the process when the channel ends. The work is done by the caller of
/// `run`.
final class Worker: Sendable {
  private let channel: FrameChannel
  private let inbox = Inbox()
  private let interruption = Interruption()
  private let notes: CallNotes?
  private let end: @Sendable (Int32) -> Void

  /// A stage that does not hear a cancel for so many seconds is left behind with the process.
  private static let patience = 5.0

  /// - Parameters:
  ///   - notes: Where to note the calls of stages.
  ///   - end: Ends the process at once.
  init(_ channel: FrameChannel, notes: CallNotes? = nil, end: @escaping @Sendable (Int32) -> Void) {
    self.channel = channel
    self.notes = notes
    self.end = end
  }

  /// Returns the exit code: 0 when the daemon got an answer, whatever it says.
  func run() -> Int32 {
    do {
      try SystemThread.start("channel") { [self] in listen() }
    } catch {
      say(.failed(Fault(.internalError, "\(error)", retry: .transient)))
      return 1
    }
    say(.hello(version: DroverVersion.current, pid: getpid()))
    let (command, secrets) = inbox.waitForOrder()
    switch command {
    case .inspect(let paths): inspect(paths)
    case .check(let order):
      PluginChecker(order, secrets: secrets, notes: notes, say: { [self] in say($0) }, hung: { [self] in giveUp($0) })
        .run()
    case .order(let order): carryOut(order, secrets)
    default: say(.failed(Fault(.internalError, "the first command must be an order, not \(command)")))
    }
    return 0
  }

  private func carryOut(_ order: JobOrder, _ secrets: [SecretBytes]) {
    let job = JobContext(interruption: interruption, activity: Activity(notes: notes)) { [self] in say($0) }
    var attempt = Attempt(
      order: order, secrets: secrets,
      library: PluginLibrary(folders: order.pluginFolders, activity: job.activity), job: job,
      admission: { [inbox, interruption] in try inbox.waitForAdmission(interruption) },
      hung: { [self] fault in giveUp(fault) })
    if let answer = attempt.run() { say(answer) }
  }

  private func inspect(_ paths: [String]) {
    let job = JobContext(interruption: interruption, activity: Activity(notes: notes)) { _ in }
    let watchdog = Reporter(job: job, hangSeconds: Self.loadingSeconds) { [self] in giveUp($0) }
    try? watchdog.start()
    say(.inspected(paths.map { PluginReport(inspecting: $0, job.activity) }))
  }

  /// What loading a plugin may take.
  private static let loadingSeconds = 20.0

  private func giveUp(_ fault: Fault) {
    say(.failed(fault))
    end(1)
  }

  /// Nobody is left to work for when the channel can't be written.
  private func say(_ report: WorkerReport) {
    do { try channel.send(report) } catch { end(1) }
  }

  private func listen() {
    do {
      while let frame = try channel.receive() {
        switch frame {
        case .secret(let secret): inbox.take(secret: secret)
        case .message(let bytes): take(try FrameChannel.decode(WorkerCommand.self, bytes))
        }
      }
    } catch {
      say(.failed((error as? Fault) ?? Fault(.internalError, "\(error)")))
    }
    end(0)
  }

  private func take(_ command: WorkerCommand) {
    switch command {
    case .cancel:
      interruption.ask(.cancel)
      inbox.wake()
      try? SystemThread.start("cancel") { [self] in endLate() }
    case .pause:
      interruption.ask(.pause)
      inbox.wake()
    default: inbox.take(command)
    }
  }

  private func endLate() {
    let start = BootClock.seconds()
    while BootClock.seconds() - start < Self.patience { usleep(100_000) }
    // The cancel was heard, and the watchdog looks after the rest.
    if interruption.isCleaning { return }
    say(.log(level: .warning, message: "a stage did not hear the cancel; what it left must be discarded"))
    say(.stopped)
    end(0)
  }
}
