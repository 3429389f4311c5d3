import StageKit
import Synchronization

/// A host that keeps what it is told.
final class RecordingHost: Host {
  let records = Mutex<[(kind: String, json: String)]>([])
  let cancelled = Mutex(false)

  func log(_ level: LogLevel, _ message: String) {}
  var isCancelled: Bool { cancelled.withLock { $0 } }
  func emit(_ kind: String, json: String) { records.withLock { $0.append((kind, json)) } }
  func phase(_ phase: String, detail: String?) {}
  func progress(done: UInt64, total: UInt64) {}
}
