import DroverModel
import LinuxSystem
import NFS
import Synchronization

/// A folder of an NFS server as a store, reached in user space: nothing is mounted, and no root is needed. Source:
/// longhorn-format, 9.3.
///
/// As in a folder, objects are files that come into place by a temporary and a rename. A file is committed to the server's
/// disk before it is renamed, and a server has made a name durable before it answers, so there is nothing to sync. Calls
/// from several threads go over a connection each. A lost connection is made anew, and the whole call repeated.
///
/// The root is remembered by device and inode, as a folder's is: when another one answers in its place, nothing is taken
/// for absent.
public final class NFSStore: ObjectStore {
  public let url: String
  private let pool: NFSPool
  private let mark = Mutex<TemporaryMark?>(nil)

  static let folderPermissions: UInt32 = 0o700
  static let filePermissions: UInt32 = 0o644
  /// libnfs 4.0.0 sends longer ones over version 4 so that servers refuse them.
  static let longestVersion4 = 4095

  /// Reaches the folder and lists it once.
  init(
    url: String, _ place: ExportPlace, stallSeconds: Double, attempts: Int = 5
  ) throws(StoreError) {
    self.url = url
    pool = NFSPool(url: url, place, stallSeconds: stallSeconds, attempts: attempts)
    try pool.open(.after(seconds: 60))
  }

  public func checkTakesBlocks() throws(StoreError) {
    guard pool.version == 4 else { return }
    throw StoreError(
      .notSupported,
      "the target \(url) is reached over NFS version 4, and this system's libnfs can't write blocks over it",
      hint: "mount it and use file:///absolute/folder, or add nfsOptions=nfsvers=3 where the server has version 3")
  }

  public func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    try pool.perform("look at \(path)", deadline) { (mount, limit) throws(NFSError) in
      if let status = try mount.status("/\(path)", deadline: limit) {
        return status.isRegular ? ObjectStatus(size: status.size, modified: status.modifiedNanoseconds) : nil
      }
      try self.pool.confirmRoot(mount, limit)
      return nil
    }
  }

  public func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    try pool.perform("list \(folder)", deadline) { (mount, limit) throws(NFSError) in
      do throws(NFSError) {
        return try mount.names("/\(folder)", deadline: limit)
      } catch {
        guard error.isAbsent else { throw error }
      }
      try self.pool.confirmRoot(mount, limit)
      return []
    }
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
      let place = "\(folder)/\(path)"
      let status = try pool.perform("look at \(place)", deadline) { (mount, limit) throws(NFSError) in
        try mount.status("/\(place)", deadline: limit)
      }
      guard let status, status.isRegular else { return }
      try visit(path, "\(status.size) \(status.modifiedNanoseconds) \(status.inode)")
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
    let outcome = try pool.perform("read \(path)", deadline) { (mount, limit) throws(NFSError) -> Reading in
      // What is no plain file is not opened.
      if let status = try mount.status("/\(path)", deadline: limit), status.isRegular {
        guard status.size <= UInt64(buffer.count) else { return .tooLong }
        do throws(NFSError) {
          return try mount.read("/\(path)", into: buffer, deadline: limit).map { .whole($0) } ?? .tooLong
        } catch {
          guard error.isAbsent else { throw error }
        }
      }
      try self.pool.confirmRoot(mount, limit)
      return .absent
    }
    switch outcome {
    case .whole(let count): return count
    case .absent: return nil
    case .tooLong:
      throw StoreError(.badBlock, "\(url)/\(path) is longer than the \(buffer.count) bytes that it may have")
    }
  }

  private enum Reading { case whole(Int), absent, tooLong }

  public func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    if bytes.count > Self.longestVersion4 { try checkTakesBlocks() }
    var temporaries = Temporaries("/\(path)", mark.withLock { $0 })
    try pool.perform("write \(path)", deadline, writing: true) { (mount, limit) throws(NFSError) in
      // What was asked over the connection that is lost may be done late: it must not meet the one that is made now.
      temporaries.next()
      var attempt = 1
      while true {
        do throws(NFSError) {
          try self.replace("/\(path)", bytes, temporaries.current, mount, limit)
          for name in temporaries.earlier { try? mount.remove(file: name, deadline: limit) }
          return
        } catch {
          // A folder that is not there yet, or that another writer removed when it became empty; or a temporary of the same
          // name.
          guard error.isAbsent || error.isInTheWay, attempt < 10 else { throw error }
          if error.isInTheWay { temporaries.next() }
        }
        attempt += 1
        try self.pool.confirmRoot(mount, limit)
        try self.makeFolders(above: path, mount, limit)
      }
    }
  }

  public func move(_ path: String, to other: String, deadline: Deadline) throws(StoreError) {
    try pool.perform("move \(path)", deadline, writing: true) { (mount, limit) throws(NFSError) in
      do throws(NFSError) {
        try mount.rename("/\(path)", "/\(other)", deadline: limit)
      } catch {
        if !error.isAbsent { throw error }
      }
      try self.pool.confirmRoot(mount, limit)
    }
  }

  /// Names that one write uses, one after the other: all of them end in the mark, where there is one.
  private struct Temporaries {
    private let target: String
    private let mark: TemporaryMark?
    private var names: [String] = []

    init(_ target: String, _ mark: TemporaryMark?) {
      self.target = target
      self.mark = mark
    }

    mutating func next() {
      let time = ".tmp.\(WallClock.nanoseconds())"
      names.append(target + (mark.map { names.isEmpty ? $0.suffix : time + $0.suffix } ?? time))
    }

    var current: String { names[names.count - 1] }
    /// Certainly this writer's own.
    var earlier: ArraySlice<String> { mark == nil ? [] : names.dropLast() }
  }

  public func mark(temporaries mark: TemporaryMark) { self.mark.withLock { $0 = mark } }

  private func replace(
    _ target: String, _ bytes: UnsafeRawBufferPointer, _ temporary: String, _ mount: NFSMount, _ limit: Double
  ) throws(NFSError) {
    var isOwn = false
    do throws(NFSError) {
      do throws(NFSError) { try mount.create(temporary, mode: Self.filePermissions, bytes, deadline: limit) } catch {
        isOwn = !error.isInTheWay
        throw error
      }
      isOwn = true
      try mount.rename(temporary, target, deadline: limit)
    } catch {
      // Over a lost connection it stays, and is cleaned up as any crashed writer's.
      if !mount.isBroken, isOwn { try? mount.remove(file: temporary, deadline: limit) }
      throw error
    }
  }

  private func makeFolders(above path: String, _ mount: NFSMount, _ limit: Double) throws(NFSError) {
    var folder = ""
    for part in path.split(separator: "/").dropLast() {
      folder += "/\(part)"
      guard try mount.status(folder, deadline: limit) == nil else { continue }
      do throws(NFSError) {
        try mount.makeFolder(folder, mode: Self.folderPermissions, deadline: limit)
      } catch {
        // Somebody else has made it meanwhile; or has removed the one above, and the caller comes back.
        guard error.isInTheWay else { throw error }
      }
    }
  }

  public func sync(deadline: Deadline) throws(StoreError) {}

  public func remove(_ path: String, deadline: Deadline) throws(StoreError) {
    try pool.perform("remove \(path)", deadline, writing: true) { (mount, limit) throws(NFSError) in
      do throws(NFSError) {
        try mount.remove(file: "/\(path)", deadline: limit)
      } catch {
        if !error.isAbsent { throw error }
      }
      try self.pool.confirmRoot(mount, limit)
      try self.removeEmptyFolders(above: path, mount, limit)
    }
  }

  /// As Longhorn's driver does it, up to `backupstore` itself: an empty folder would be listed as a name.
  private func removeEmptyFolders(above path: String, _ mount: NFSMount, _ limit: Double) throws(NFSError) {
    var parts = path.split(separator: "/").dropLast()
    while let last = parts.last, last != StoreLayout.base {
      do throws(NFSError) {
        try mount.remove(folder: "/\(parts.joined(separator: "/"))", deadline: limit)
      } catch {
        // Somebody else was faster, and may not have come as far.
        if error.isAbsent {
          parts.removeLast()
          continue
        }
        // Not empty, which some servers say in other words. The object is gone, and this was tidying up.
        guard error.kind == .refused, !error.isStale else { throw error }
        return
      }
      parts.removeLast()
    }
  }
}
