import Backupstore

/// Lets a test interfere just before a call, of any kind, that comes after the lock was taken.
final class ReactingStore: ObjectStore {
  enum Call {
    case names(String), visit(String), read(String), write(String), remove(String)
  }

  private let inner: any ObjectStore
  private let onChange: @Sendable (String, Deadline) -> Void
  private let react: @Sendable (Call) -> Void

  /// - Parameter onChange: Is told the path and the deadline of each write and removal.
  init(
    _ inner: any ObjectStore, _ react: @escaping @Sendable (Call) -> Void,
    onChange: @escaping @Sendable (String, Deadline) -> Void = { _, _ in }
  ) {
    self.inner = inner
    self.onChange = onChange
    self.react = react
  }

  var url: String { inner.url }

  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    try inner.status(of: path, deadline: deadline)
  }

  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    react(.names(folder))
    return try inner.names(in: folder, deadline: deadline)
  }

  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    react(.visit(folder))
    try inner.visit(folder, depth: depth, deadline: deadline, enter: enter, visit: visit)
  }

  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int? {
    react(.read(path))
    return try inner.read(path, into: buffer, deadline: deadline)
  }

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    react(.write(path))
    onChange(path, deadline)
    try inner.write(path, bytes, deadline: deadline)
  }

  func sync(deadline: Deadline) throws(StoreError) { try inner.sync(deadline: deadline) }

  func remove(_ path: String, deadline: Deadline) throws(StoreError) {
    react(.remove(path))
    onChange(path, deadline)
    try inner.remove(path, deadline: deadline)
  }
}
