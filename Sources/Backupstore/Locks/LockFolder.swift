/// The lock files of one domain.
struct LockFolder: Sendable {
  let store: any ObjectStore
  let path: String
  private static let longest = 4096

  func file(_ name: String) -> String { "\(path)/\(name)\(StoreLayout.lockSuffix)" }

  func write(_ record: LockRecord, deadline: Deadline) throws(StoreError) {
    try store.write(file(record.name), document: record.encoded(), deadline: deadline)
  }

  /// Server time of a lock's file; nil: certainly not there.
  func modified(_ name: String, deadline: Deadline) throws(StoreError) -> Int64? {
    try store.status(of: file(name), deadline: deadline)?.modified
  }

  func remove(_ name: String) throws(StoreError) { try store.remove(file(name), deadline: .after(seconds: 30)) }

  /// All locks that are there. Foreign names are left out, and a file that vanishes while it is looked at.
  func locks() throws(StoreError) -> [SeenLock] {
    var seen: [SeenLock] = []
    for file in try store.names(in: path, deadline: .usual) where file.hasSuffix(StoreLayout.lockSuffix) {
      let name = String(file.dropLast(StoreLayout.lockSuffix.count))
      guard StoreName.isValid(name) else { continue }
      guard let modified = try modified(name, deadline: .usual) else { continue }
      let record: LockRecord?
      do throws(StoreError) {
        guard let bytes = try store.document(self.file(name), limit: Self.longest) else { continue }
        record = LockRecord(decoding: bytes)
      } catch  where error.code == .badConfig {
        record = nil
      }
      seen.append(SeenLock(name: name, record: record, modified: modified))
    }
    return seen
  }
}
