import Synchronization

/// How many requests one socket answered, by status.
final class RequestCounters: Sendable {
  private let counts = Mutex<[Int: Int]>([:])

  func count(status: Int) { counts.withLock { $0[status, default: 0] += 1 } }

  var all: [(status: Int, count: Int)] {
    counts.withLock { $0.sorted { $0.key < $1.key }.map { (status: $0.key, count: $0.value) } }
  }
}
