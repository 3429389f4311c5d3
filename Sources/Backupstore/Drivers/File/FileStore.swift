import LinuxSystem
import Synchronization

/// A folder as a store.
///
/// Objects are files; `write` makes a temporary `NAME.tmp.<digits>` beside its target, syncs it and renames it.
/// Longhorn's own writers remove folders that became empty, so a folder may vanish between two calls; that is made up
/// for. The root is remembered by device and inode: when it is gone, or another folder lies in its place (a file system
/// was unmounted), nothing is taken for absent any more, and every answer is `target-unreachable`.
public final class FileStore: ObjectStore {
  public let url: String
  let root: String
  private let identity: Identity
  private let unsynced = Mutex(Unsynced())
  private let calls: SyncCalls
  private let mark = Mutex<TemporaryMark?>(nil)

  private struct Identity: Equatable {
    var device: UInt64
    var inode: UInt64
  }

  /// Folders whose names have changed since they were synced last, each with the number of its last change.
  private struct Unsynced {
    var folders: [String: UInt64] = [:]
    var changes: UInt64 = 0
  }

  /// How things become durable. Only a test has others.
  struct SyncCalls: Sendable {
    var folder: @Sendable (String) throws(SystemError) -> Void = { (path) throws(SystemError) in
      try Folder.sync(path)
    }
    var fileSystem: @Sendable (String) throws(SystemError) -> Void = { (path) throws(SystemError) in
      try Folder.syncFileSystem(of: path)
    }
  }

  /// Longhorn's writers make folders that only their owner can read.
  static let folderPermissions: UInt32 = 0o700
  static let filePermissions: UInt32 = 0o644

  /// Reaches the folder and lists it once. With `create` an absent one is made.
  public convenience init(_ url: StoreURL, create: Bool = false) throws(StoreError) {
    try self.init(url, create: create, calls: SyncCalls())
  }

  init(_ url: StoreURL, create: Bool = false, calls: SyncCalls) throws(StoreError) {
    self.calls = calls
    self.url = url.description
    root = url.path
    do throws(SystemError) {
      var status = try FileStatus.of(url.path)
      if status == nil && create {
        try Folder.create(url.path, permissions: Self.folderPermissions)
        status = try FileStatus.of(url.path)
      }
      guard let status else { throw SystemError("open", path: url.path, errno: 2) }
      guard status.isFolder else { throw SystemError("open", path: url.path, errno: 20) }
      _ = try Folder.list(url.path)
      identity = Identity(device: status.device, inode: status.inode)
    } catch {
      throw .unreachable(url.description, error)
    }
  }

  public func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    try check(deadline, path)
    do throws(SystemError) {
      if let status = try FileStatus.of(absolute(path)), status.isRegular {
        return ObjectStatus(size: status.size, modified: status.modifiedNanoseconds)
      }
    } catch {
      throw failure(error, writing: false)
    }
    try confirmRoot()
    return nil
  }

  public func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    try check(deadline, folder)
    do throws(SystemError) {
      if let names = try Folder.listIfPresent(absolute(folder)) { return names }
    } catch {
      throw failure(error, writing: false)
    }
    try confirmRoot()
    return []
  }

  public func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try descend(folder, prefix: "", depth: depth, deadline: deadline, enter: enter, visit: visit)
  }

  public func survey(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (_ path: String, _ version: String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try self.visit(folder, depth: depth, deadline: deadline, enter: enter) { (path) throws(StoreError) in
      let found: FileStatus?
      do throws(SystemError) { found = try FileStatus.of(absolute("\(folder)/\(path)")) } catch {
        throw failure(error, writing: false)
      }
      guard let status = found, status.isRegular else { return }
      // What replaces a file has another inode, also where the clock is coarse or was set back.
      try visit(
        path, "\(status.size) \(status.modifiedNanoseconds) \(status.changedNanoseconds) \(status.inode)")
    }
  }

  private func descend(
    _ folder: String, prefix: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    for name in try names(in: folder, deadline: deadline) {
      if depth <= 1 {
        try visit(prefix + name)
      } else if enter(name) {
        try descend(
          "\(folder)/\(name)", prefix: "\(prefix)\(name)/", depth: depth - 1, deadline: deadline, enter: enter,
          visit: visit)
      }
    }
  }

  public func read(
    _ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline
  ) throws(StoreError) -> Int? {
    // What is no plain file is not opened: opening a FIFO would wait for its writer.
    guard let status = try status(of: path, deadline: deadline) else { return nil }
    guard status.size <= UInt64(buffer.count) else { throw tooLong(path, limit: buffer.count) }
    do throws(SystemError) {
      // It may have been replaced by a shorter or a longer one since; what was opened stays as it is.
      return try OpenFile.open(absolute(path), .read).read(into: buffer, at: 0)
    } catch {
      guard error.isAbsent else { throw failure(error, writing: false) }
    }
    try confirmRoot()
    return nil
  }

  public func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    try check(deadline, path)
    var attempt = 0
    while true {
      attempt += 1
      do throws(SystemError) {
        return try replace(path, bytes)
      } catch {
        // A folder that is not there yet, or that another writer removed when it became empty; or a temporary of the same name.
        let isPassing = error.isAbsent || error.errno == 17
        guard isPassing && attempt < 10 else { throw failure(error, writing: true) }
      }
      try confirmRoot()
      try makeFolders(above: path)
    }
  }

  public func sync(deadline: Deadline) throws(StoreError) {
    let folders = unsynced.withLock { $0.folders }
    do throws(SystemError) {
      for (folder, change) in folders {
        // One that was removed in the meantime has nothing to keep; its parent is among them as well.
        do throws(SystemError) { try calls.folder(folder) } catch { if !error.isAbsent { throw error } }
        // Not before: another thread's sync must not take it for synced, nor after an error a later one.
        unsynced.withLock { if $0.folders[folder] == change { $0.folders[folder] = nil } }
      }
    } catch {
      throw failure(error, writing: true)
    }
    if !folders.isEmpty { try confirmRoot() }
  }

  /// Which of the files that were seen are durable nobody can tell, and asking for each of a million would take hours: so
  /// the whole file system is synced, once a backup.
  public func settle(deadline: Deadline) throws(StoreError) {
    // Where the file system does nothing then, its folders may have been synced.
    try sync(deadline: deadline)
    // Another one in its place has none of the files.
    try confirmRoot()
    do throws(SystemError) { try calls.fileSystem(root) } catch { throw failure(error, writing: true) }
  }

  public func mark(temporaries mark: TemporaryMark) { self.mark.withLock { $0 = mark } }

  public func remove(_ path: String, deadline: Deadline) throws(StoreError) {
    try check(deadline, path)
    do throws(SystemError) {
      try Folder.remove(file: absolute(path))
    } catch {
      if !error.isAbsent { throw failure(error, writing: true) }
    }
    try confirmRoot()
    try removeEmptyFolders(above: path)
  }

  public func move(_ path: String, to other: String, deadline: Deadline) throws(StoreError) {
    try check(deadline, path)
    do throws(SystemError) {
      try RawRename.replace(absolute(path), absolute(other))
      note(Folder.parent(of: absolute(path)))
    } catch {
      if !error.isAbsent { throw failure(error, writing: true) }
    }
    try confirmRoot()
  }

  private func replace(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    let target = absolute(path)
    let digits = mark.withLock { $0?.digits } ?? UInt64(WallClock.nanoseconds())
    let temporary = "\(target).tmp.\(digits)"
    let file = try OpenFile.open(temporary, .createNew(permissions: Self.filePermissions))
    do throws(SystemError) {
      try file.fill(bytes)
      try file.syncData()
      try RawRename.replace(temporary, target)
    } catch {
      try? Folder.remove(file: temporary)
      throw error
    }
    note(Folder.parent(of: target))
  }

  /// Makes the folders between the root and `path`, and never the root. Each one's name is synced by the next `sync`.
  /// Where one vanishes under its hands the rest is left to the caller's next attempt.
  private func makeFolders(above path: String) throws(StoreError) {
    var folder = root
    do throws(SystemError) {
      for part in path.split(separator: "/").dropLast() {
        let parent = folder
        folder += "/\(part)"
        if try FileStatus.of(folder) == nil {
          try Folder.create(folder, permissions: Self.folderPermissions, parents: false)
          note(parent)
        }
      }
    } catch {
      if !error.isAbsent { throw failure(error, writing: true) }
    }
  }

  /// As Longhorn's driver does it, up to `backupstore` itself: an empty folder would be listed as a name.
  private func removeEmptyFolders(above path: String) throws(StoreError) {
    var folder = Folder.parent(of: absolute(path))
    do throws(SystemError) {
      while folder.utf8.count > root.utf8.count && !folder.hasSuffix("/\(StoreLayout.base)") {
        note(Folder.parent(of: folder))
        guard try Folder.remove(emptyFolder: folder) else { return note(folder) }
        folder = Folder.parent(of: folder)
      }
    } catch {
      if !error.isAbsent { throw failure(error, writing: true) }
    }
  }

  private func note(_ folder: String) {
    unsynced.withLock { unsynced in
      unsynced.changes += 1
      unsynced.folders[folder] = unsynced.changes
    }
  }

  private func absolute(_ path: String) -> String { root == "/" ? "/\(path)" : "\(root)/\(path)" }

  private func check(_ deadline: Deadline, _ path: String) throws(StoreError) {
    if deadline.isOver { throw StoreError(.timedOut, "no time left to use \(url)/\(path)") }
  }

  /// Before anything is called absent: the root is still the folder that was opened.
  private func confirmRoot() throws(StoreError) {
    do throws(SystemError) {
      guard let status = try FileStatus.of(root), status.isFolder else {
        throw SystemError("open", path: root, errno: 2)
      }
      if Identity(device: status.device, inode: status.inode) == identity { return }
    } catch {
      throw .unreachable(url, error)
    }
    throw StoreError(
      .targetUnreachable, "another folder lies at \(root) than when the target \(url) was opened",
      hint: "see whether its file system was unmounted or mounted over")
  }

  private func failure(_ error: SystemError, writing: Bool) -> StoreError {
    StoreError(system: error, url: url, writing: writing)
  }

  private func tooLong(_ path: String, limit: Int) -> StoreError {
    StoreError(.badBlock, "\(url)/\(path) is longer than the \(limit) bytes that it may have")
  }
}
