import ChildProtocol
import Dispatch
import DroverModel
import Glibc
import LinuxSystem
import Synchronization

/// Starts `drover-worker`.
final class ProcessLauncher: WorkerLauncher {
  private let spawner: Spawner
  private let path: String
  private let environment: [String: String]

  init(path: String, spawner: Spawner, environment: [String: String]) {
    self.spawner = spawner
    self.path = path
    self.environment = Spawner.cleanEnvironment(environment)
  }

  func launch(
    _ command: WorkerCommand, secrets: [SecretBytes], descriptors: [(parent: Int32, child: Int32)],
    heard: @escaping @Sendable (WorkerEvent) -> Void
  ) throws -> any Worker {
    let child = try spawner.start(
      ChildProgram(path: path, environment: environment, descriptors: descriptors, notesCalls: true))
    let worker = ProcessWorker(child)
    worker.send(secrets)
    worker.send(command)
    try worker.listen(heard)
    return worker
  }
}

private final class ProcessWorker: Worker {
  private let child: StartedChild
  private let process: ChildProcess
  private let channel: FrameChannel
  /// One that does not read must not hold up the engine.
  private let outgoing: DispatchQueue
  /// Once the process is reaped its number may be another's.
  private let reaped = Mutex(false)

  init(_ child: StartedChild) {
    self.child = child
    process = child.process
    channel = child.channel
    outgoing = DispatchQueue(label: "drover.worker.\(child.process.pid)")
  }

  var pid: Int32 { process.pid }

  func send(_ command: WorkerCommand) {
    // A channel that is broken is told by the reader.
    outgoing.async { [channel] in try? channel.send(command) }
  }

  func send(_ secrets: [SecretBytes]) {
    outgoing.async { [channel] in for secret in secrets { try? channel.send(secret: secret) } }
  }

  func kill() {
    reaped.withLock { if !$0 { process.kill(SIGKILL) } }
  }

  func listen(_ heard: @escaping @Sendable (WorkerEvent) -> Void) throws {
    let everythingHeard = DispatchSemaphore(value: 0)
    do {
      try SystemThread.start("worker-\(pid)") { [self] in
        do {
          while let report = try channel.receive(WorkerReport.self) { heard(.said(report)) }
        } catch {
          let fault = error as? Fault ?? Fault(.internalError, "\(error)")
          heard(.said(.log(level: .error, message: "the worker's channel broke: \(fault.message)")))
          kill()
        }
        everythingHeard.signal()
      }
      try SystemThread.start("reap-\(pid)") { [self] in
        let end = Result { try process.waitForUsage() }
        reaped.withLock { $0 = true }
        // A process that inherited the worker's end must not keep the reader; what was sent is still read.
        channel.shutDown()
        everythingHeard.wait()
        switch end {
        case .success(let (status, usage)):
          heard(.used(usage))
          heard(.ended(child.describe(status)))
        case .failure(let error): heard(.ended("an unknown status (\(error))"))
        }
      }
    } catch {
      kill()
      channel.shutDown()
      throw Fault(.internalError, "could not listen to a worker: \(error)", retry: .transient)
    }
  }
}
