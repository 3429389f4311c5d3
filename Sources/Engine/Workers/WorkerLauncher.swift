import ChildProtocol
import DroverModel
import LinuxSystem

/// Starts workers: the real one starts processes, a test's plays them.
protocol WorkerLauncher: Sendable {
  /// Starts a worker and sends it its secrets and then its first command. Blocks until it is started.
  ///
  /// - Parameters:
  ///   - secrets: In the order of the command's `secretNames`.
  ///   - descriptors: Number here and number in the child; they stay the caller's.
  ///   - heard: Called on a thread of the worker's own, in the order of what it said; the last is `ended`, exactly once.
  func launch(
    _ command: WorkerCommand, secrets: [SecretBytes], descriptors: [(parent: Int32, child: Int32)],
    heard: @escaping @Sendable (WorkerEvent) -> Void
  ) throws -> any Worker
}

/// A worker that was started. Nothing here blocks or fails: that it is gone is told by `ended`.
protocol Worker: Sendable {
  var pid: Int32 { get }
  func send(_ command: WorkerCommand)
  /// SIGKILL.
  func kill()
}

enum WorkerEvent: Sendable {
  case said(WorkerReport)
  /// What the process has used, told just before `ended` where it is known.
  case used(ChildProcess.Usage)
  /// The process is reaped and everything it said was heard. How it ended, for people: `exit code 1`.
  case ended(String)
}
