public import ChildProtocol
public import DroverModel
import LinuxSystem

/// A worker that this process starts itself, without a daemon: for the command line.
///
/// Plugins run in the worker only, so one that crashes or hangs costs no more than an answer. It runs in a session of its
/// own: a key that interrupts this process at its terminal is for this process alone, which then tells the worker.
public final class LocalWorker: Sendable {
  private let spawner: Spawner
  private let program: ChildProgram

  /// - Parameters:
  ///   - path: Of `drover-worker`, absolute. Source: `DefaultPaths.workerPath`.
  ///   - environment: This process' own; the worker gets what `Spawner.cleanEnvironment` leaves of it.
  public init(path: String, environment: [String: String]) throws {
    spawner = try Spawner()
    program = ChildProgram(
      path: path, environment: Spawner.cleanEnvironment(environment), newSession: true,
      notesCalls: true)
  }

  /// How a worker ended.
  public struct End: Sendable {
    /// What it said last of its own accord, `failed` included; nil where it died before.
    public var answer: WorkerReport?
    /// For people: `exit code 0`, or `signal 11 (SIGSEGV) in call pread of stage x, plugin /y.so`.
    public var status: String
  }

  /// Starts a worker, carries on the conversation, and returns when it has ended. Blocks.
  ///
  /// - Parameters:
  ///   - secrets: Sent before the command, in their order.
  ///   - descriptors: Number here and number in the child; they stay the caller's.
  ///   - heard: Each report in its order, `hello` left out; a command that it returns is sent. What it throws ends the
  ///     worker, and is thrown.
  public func run(
    _ command: WorkerCommand, secrets: [SecretBytes] = [], descriptors: [(parent: Int32, child: Int32)] = [],
    heard: (WorkerReport) throws -> WorkerCommand?
  ) throws -> End {
    var program = program
    program.descriptors = descriptors
    let child = try spawner.start(program)
    do {
      let answer = try converse(child, command, secrets, heard)
      return End(answer: answer, status: child.describe(try child.process.wait()))
    } catch {
      child.channel.shutDown()
      child.process.kill(9)
      _ = try? child.process.wait()
      throw error
    }
  }

  /// Returns what was said last, when the channel has ended.
  private func converse(
    _ child: StartedChild, _ command: WorkerCommand, _ secrets: [SecretBytes],
    _ heard: (WorkerReport) throws -> WorkerCommand?
  ) throws -> WorkerReport? {
    // One that has died already says so by the end of the channel.
    do {
      for secret in secrets { try child.channel.send(secret: secret) }
      try child.channel.send(command)
    } catch let fault as Fault where fault.code == .io {
      return nil
    }
    var answer: WorkerReport?
    while let report = try next(child.channel) {
      if case .hello = report { continue }
      if report.isAnswer { answer = report }
      if let command = try heard(report) { try? child.channel.send(command) }
    }
    return answer
  }

  /// A channel that broke has ended.
  private func next(_ channel: FrameChannel) throws -> WorkerReport? {
    do { return try channel.receive(WorkerReport.self) } catch let fault as Fault where fault.code == .io { return nil }
  }
}

extension WorkerReport {
  /// Whether the worker ends after it.
  public var isAnswer: Bool {
    switch self {
    case .finished, .failed, .stopped, .inspected, .checkEnded: true
    case .hello, .planned, .progress, .checkpoint, .record, .log, .discarded, .checkBegan, .checked: false
    }
  }
}
