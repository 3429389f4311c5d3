/// Who works with a store: is told what goes on, and says when to give up. May be called from any thread.
public protocol StoreObserver: Sendable {
  /// Asked about twice a second by whatever waits.
  var isCancelled: Bool { get }
  /// One line. No secrets.
  func log(_ level: StoreLogLevel, _ message: String)
  /// What is being done now, in a word or two; a sign of life.
  func phase(_ phase: String, _ detail: String?)
  /// Progress of work that copies nothing, in items.
  func progress(done: UInt64, total: UInt64)
}

public enum StoreLogLevel: Sendable { case debug, info, warning, error }

extension StoreObserver {
  func checkCancelled() throws(StoreError) {
    if isCancelled { throw .cancelled }
  }
}
