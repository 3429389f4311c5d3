import ChildProtocol
import Dispatch
import Synchronization

/// What came over the channel and was not answered yet, in order.
final class Questions: Sendable {
  private let waiting = Mutex<[PolicyCommand]>([])
  private let arrived = DispatchSemaphore(value: 0)

  func add(_ command: PolicyCommand) {
    waiting.withLock { $0.append(command) }
    arrived.signal()
  }

  /// Blocks until there is one.
  func next() -> PolicyCommand {
    arrived.wait()
    return waiting.withLock { $0.removeFirst() }
  }
}
