import Synchronization

/// Counts the calls that the host makes on fake stages, and interferes with one of them.
final class Script: Sendable {
  typealias Step = @Sendable (_ number: Int, _ call: String) throws -> Void
  private let count = Mutex(0)
  private let log = Mutex<[String]>([])
  private let step: Step

  /// - Parameter step: Called before each call, numbered from 1.
  init(_ step: @escaping Step = { _, _ in }) { self.step = step }

  /// The nth call fails.
  static func failing(_ number: Int, _ failure: FakeFailure) -> Script {
    Script { now, _ in if now == number { throw failure } }
  }

  func hit(_ call: String) throws {
    let number = count.withLock {
      $0 += 1
      return $0
    }
    log.withLock { $0.append(call) }
    try step(number, call)
  }

  var calls: Int { count.withLock { $0 } }
  var names: [String] { log.withLock { $0 } }
}
