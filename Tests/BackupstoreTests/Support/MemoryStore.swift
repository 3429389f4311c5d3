import Backupstore
import Synchronization

/// Objects in memory, with a server's clock that the test owns.
final class MemoryStore: ObjectStore {
  let url = "file:///memory"
  private let objects = Mutex<[String: (bytes: [UInt8], modified: Int64)]>([:])
  private let clock: SimulatedClock

  init(clock: SimulatedClock) { self.clock = clock }

  var paths: [String] { objects.withLock { $0.keys.sorted() } }

  subscript(path: String) -> [UInt8]? {
    get { objects.withLock { $0[path]?.bytes } }
    set {
      let modified = clock.serverNanoseconds()
      objects.withLock { $0[path] = newValue.map { ($0, modified) } }
    }
  }

  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    objects.withLock { $0[path].map { ObjectStatus(size: UInt64($0.bytes.count), modified: $0.modified) } }
  }

  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    let names = objects.withLock { objects in
      objects.keys.filter { $0.hasPrefix(folder + "/") }
        .map { String($0.dropFirst(folder.count + 1).prefix { $0 != "/" }) }
    }
    return Set(names).sorted()
  }

  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    for path in paths where path.hasPrefix(folder + "/") {
      let relative = String(path.dropFirst(folder.count + 1))
      let parts = relative.split(separator: "/").map(String.init)
      if parts.count == depth && parts.dropLast().allSatisfy(enter) { try visit(relative) }
    }
  }

  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int? {
    guard let bytes = self[path] else { return nil }
    guard bytes.count <= buffer.count else { throw StoreError(.badBlock, "\(path) is too long") }
    buffer.copyBytes(from: bytes)
    return bytes.count
  }

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    self[path] = Array(bytes)
  }

  func sync(deadline: Deadline) throws(StoreError) {}
  func remove(_ path: String, deadline: Deadline) throws(StoreError) { self[path] = nil }
}
