import Backupstore
import Synchronization

/// A store that fails on purpose.
final class FaultyStore: ObjectStore {
  enum Fault: Sendable {
    /// The nth call of any kind fails without an effect, once.
    case call(Int)
    /// The nth write or removal is done, and fails all the same, once: the answer was lost.
    case lostAnswer(Int)
    /// After n writes and removals nothing works any more.
    case death(afterWrites: Int)
    /// The nth read gives only so many bytes of the object, once.
    case cut(Int, bytes: Int)
    /// After the nth call something else happens before it returns.
    case pause(after: Int, @Sendable () -> Void)
    /// Each listing of a folder whose path begins so fails.
    case listing(String)
    /// Each read of an object whose path ends so fails.
    case reading(String)
    /// Each removal of an object whose path ends so fails.
    case removing(String)
    /// The nth removal fails without an effect, once.
    case removal(Int)
  }

  private let inner: any ObjectStore
  private let fault: Fault
  private let state = Mutex((calls: 0, writes: 0, removals: 0, reads: 0))
  private let failure = Mutex<String?>(nil)

  init(_ inner: any ObjectStore, _ fault: Fault) {
    self.inner = inner
    self.fault = fault
  }

  var url: String { inner.url }
  var calls: Int { state.withLock { $0.calls } }
  var writes: Int { state.withLock { $0.writes } }
  /// The path whose removal failed as the nth; nil where there were not so many.
  var failed: String? { failure.withLock { $0 } }

  var reads: Int { state.withLock { $0.reads } }

  /// Returns what is to be done when the call ends.
  private func enter() throws(StoreError) -> () -> Void {
    let (calls, writes, _, _) = state.withLock { state in
      state.calls += 1
      return state
    }
    if case .call(let nth) = fault, calls == nth { throw broken("call \(nth)") }
    if case .death(let last) = fault, writes >= last { throw broken("everything") }
    if case .pause(let nth, let body) = fault, calls == nth { return body }
    return {}
  }

  private func finishWrite() throws(StoreError) {
    let writes = state.withLock { state in
      state.writes += 1
      return state.writes
    }
    if case .lostAnswer(let nth) = fault, writes == nth { throw broken("the answer of write \(nth)") }
  }

  private func broken(_ what: String) -> StoreError { StoreError(.io, "broken on purpose: \(what)") }

  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    let leave = try enter()
    defer { leave() }
    return try inner.status(of: path, deadline: deadline)
  }

  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    let leave = try enter()
    defer { leave() }
    if case .listing(let prefix) = fault, folder.hasPrefix(prefix) { throw broken("listing") }
    return try inner.names(in: folder, deadline: deadline)
  }

  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    let leave = try self.enter()
    defer { leave() }
    if case .listing(let prefix) = fault, folder.hasPrefix(prefix) { throw broken("listing") }
    try inner.visit(folder, depth: depth, deadline: deadline, enter: enter, visit: visit)
  }

  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int? {
    let leave = try enter()
    defer { leave() }
    if case .reading(let suffix) = fault, path.hasSuffix(suffix) { throw broken("reading") }
    let length = try inner.read(path, into: buffer, deadline: deadline)
    let reads = state.withLock { state in
      state.reads += 1
      return state.reads
    }
    if case .cut(let nth, let bytes) = fault, reads == nth { return length.map { min($0, bytes) } }
    return length
  }

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    let leave = try enter()
    defer { leave() }
    try inner.write(path, bytes, deadline: deadline)
    try finishWrite()
  }

  func sync(deadline: Deadline) throws(StoreError) {
    let leave = try enter()
    defer { leave() }
    try inner.sync(deadline: deadline)
  }

  func remove(_ path: String, deadline: Deadline) throws(StoreError) {
    let leave = try enter()
    defer { leave() }
    if case .removing(let suffix) = fault, path.hasSuffix(suffix) { throw broken("removing") }
    let removals = state.withLock { state in
      state.removals += 1
      return state.removals
    }
    if case .removal(removals) = fault {
      failure.withLock { $0 = path }
      throw broken("removal \(removals)")
    }
    try inner.remove(path, deadline: deadline)
    try finishWrite()
  }
}
