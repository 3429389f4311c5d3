import Dispatch

/// Runs an actor on a Dispatch queue of its own, one piece after another. Its synchronous code may therefore block
/// briefly (a catalog write waits for the disk) without holding a thread of Swift's cooperative pool.
final class QueueExecutor: SerialExecutor {
  private let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: label) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
