import Backupstore
import Synchronization

/// Lets a test look on or interfere just before an object is written.
final class HookedStore: ObjectStore {
  typealias Hook = @Sendable (String, [UInt8]) -> Void
  private let inner: any ObjectStore
  private let state = Mutex(State())

  private struct State {
    var hook: Hook?
    var failure: StoreError?
    var fails: @Sendable (String) -> Bool = { _ in true }
    var writes = 0
  }

  init(_ inner: any ObjectStore) { self.inner = inner }

  var beforeWrite: Hook? {
    get { state.withLock { $0.hook } }
    set { state.withLock { $0.hook = newValue } }
  }
  /// What every write answers whose path `fails` takes.
  var failure: StoreError? {
    get { state.withLock { $0.failure } }
    set { state.withLock { $0.failure = newValue } }
  }
  var fails: @Sendable (String) -> Bool {
    get { state.withLock { $0.fails } }
    set { state.withLock { $0.fails = newValue } }
  }
  var writes: Int { state.withLock { $0.writes } }

  var url: String { inner.url }

  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    try inner.status(of: path, deadline: deadline)
  }

  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    try inner.names(in: folder, deadline: deadline)
  }

  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try inner.visit(folder, depth: depth, deadline: deadline, enter: enter, visit: visit)
  }

  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int? {
    try inner.read(path, into: buffer, deadline: deadline)
  }

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    if let failure, fails(path) { throw failure }
    beforeWrite?(path, Array(bytes))
    try inner.write(path, bytes, deadline: deadline)
    state.withLock { $0.writes += 1 }
  }

  func sync(deadline: Deadline) throws(StoreError) { try inner.sync(deadline: deadline) }
  func remove(_ path: String, deadline: Deadline) throws(StoreError) { try inner.remove(path, deadline: deadline) }
}
