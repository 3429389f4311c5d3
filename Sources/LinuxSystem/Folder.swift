import CLinux
import Glibc

/// Folders and names in them. Every change that returns has reached the disk, but for `create`'s and the removals',
/// which a later `sync` of the parent confirms.
public enum Folder {
  /// Makes the folder and the missing ones above it. One that is there already is fine.
  /// - Parameter parents: Whether what is missing above it is made as well; else that is an error, ENOENT.
  public static func create(
    _ path: String, permissions: UInt32 = 0o755, parents: Bool = true
  ) throws(SystemError) {
    if unsafe mkdir(path, permissions) == 0 { return }
    switch Glibc.errno {
    case EEXIST:
      guard try FileStatus.of(path)?.isFolder == true else {
        throw SystemError("create folder", path: path, errno: ENOTDIR)
      }
    case ENOENT where parents:
      let parent = Self.parent(of: path)
      guard parent != path else { throw .last("create folder", path: path) }
      try create(parent, permissions: permissions)
      guard unsafe mkdir(path, permissions) == 0 || Glibc.errno == EEXIST else {
        throw .last("create folder", path: path)
      }
      try sync(parent)
    default: throw .last("create folder", path: path)
    }
  }

  /// Names in the folder, sorted by bytes, without `.` and `..`. Fails when it is absent or can't be read to the end.
  public static func list(_ path: String) throws(SystemError) -> [String] {
    guard let stream = unsafe opendir(path) else { throw .last("list", path: path) }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while true {
      Glibc.errno = 0
      guard let entry = unsafe readdir(stream) else {
        if Glibc.errno != 0 { throw .last("list", path: path) }
        break
      }
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
        unsafe field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
          unsafe String(cString: $0)
        }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Nil where the folder is certainly not there.
  public static func listIfPresent(_ path: String) throws(SystemError) -> [String]? {
    do throws(SystemError) { return try list(path) } catch  where error.isAbsent { return nil }
  }

  /// fsync of the folder: its names survive a power cut.
  public static func sync(_ path: String) throws(SystemError) {
    let descriptor = retrying { unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0) }
    guard descriptor >= 0 else { throw .last("open folder", path: path) }
    defer { close(descriptor) }
    // Some network and FUSE file systems have no fsync for folders; there is nothing better to do there.
    guard fsync(descriptor) == 0 || Glibc.errno == EINVAL else { throw .last("fsync", path: path) }
  }

  /// Everything that was written to the file system of the folder has reached its disk, by whomever.
  public static func syncFileSystem(of path: String) throws(SystemError) {
    let descriptor = retrying { unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0) }
    guard descriptor >= 0 else { throw .last("open folder", path: path) }
    defer { close(descriptor) }
    guard clinux_sync_file_system(descriptor) == 0 else { throw .last("syncfs", path: path) }
  }

  /// Removes a file; an absent one is fine.
  public static func remove(file path: String) throws(SystemError) {
    guard unsafe unlink(path) == 0 || Glibc.errno == ENOENT else { throw .last("remove", path: path) }
  }

  /// Removes an empty folder; false when it is not empty, absent is fine.
  @discardableResult
  public static func remove(emptyFolder path: String) throws(SystemError) -> Bool {
    if unsafe rmdir(path) == 0 || Glibc.errno == ENOENT { return true }
    if Glibc.errno == ENOTEMPTY || Glibc.errno == EEXIST { return false }
    throw .last("remove folder", path: path)
  }

  /// Removes a folder and what is in it, or a file; never follows a symbolic link. Absent is fine.
  public static func removeTree(_ path: String) throws(SystemError) {
    guard let status = try FileStatus.of(path, followLinks: false) else { return }
    guard status.isFolder else { return try remove(file: path) }
    for name in try listIfPresent(path) ?? [] { try removeTree("\(path)/\(name)") }
    try remove(emptyFolder: path)
  }

  /// Gives a file a second name, which must be free (EEXIST). Survives a power cut after a `sync` of its folder.
  public static func link(_ file: String, as name: String) throws(SystemError) {
    guard unsafe Glibc.link(file, name) == 0 else { throw .last("link \(file) as", path: name) }
  }

  /// Renames and syncs the folders of both names. What has the new name already is replaced, as rename(2) does.
  public static func rename(_ from: String, _ to: String) throws(SystemError) {
    guard unsafe Glibc.rename(from, to) == 0 else { throw .last("rename \(from) to", path: to) }
    try syncParents(from, to)
  }

  /// As `rename`, but fails with EEXIST rather than replace.
  public static func renameNew(_ from: String, _ to: String) throws(SystemError) {
    guard unsafe clinux_renameat_noreplace(from, to) == 0 else { throw .last("rename \(from) to", path: to) }
    try syncParents(from, to)
  }

  private static func syncParents(_ from: String, _ to: String) throws(SystemError) {
    try sync(parent(of: to))
    if parent(of: from) != parent(of: to) { try sync(parent(of: from)) }
  }

  /// Temporary beside it (`PATH.tmp.<nanoseconds since 1970>`), fsync, rename, fsync of the folder. On an error the
  /// temporary is removed.
  public static func writeDurably(
    _ path: String, _ bytes: UnsafeRawBufferPointer, permissions: UInt32 = 0o644
  ) throws(SystemError) {
    let temporary = "\(path).tmp.\(WallClock.nanoseconds())"
    do throws(SystemError) {
      let file = try OpenFile.open(temporary, .createNew(permissions: permissions))
      try unsafe file.write(bytes, at: 0)
      try file.sync()
      try rename(temporary, path)
    } catch {
      if error.errno != EEXIST { _ = unsafe unlink(temporary) }
      throw error
    }
  }

  /// Whether the name is that of a temporary of `writeDurably`, which only a crash leaves behind.
  public static func isTemporary(_ name: String) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[parts.count - 2] == "tmp", let digits = parts.last, !digits.isEmpty else {
      return false
    }
    return digits.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  public static func writeDurably(_ path: String, _ bytes: [UInt8], permissions: UInt32 = 0o644) throws(SystemError) {
    try unsafe bytes.withBytes { (buffer) throws(SystemError) in
      try unsafe writeDurably(path, buffer, permissions: permissions)
    }
  }

  /// The whole of a file that is expected to be small. One longer than `limit` bytes fails with EFBIG.
  public static func readFile(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let file = try OpenFile.open(path, .read)
    let size = try file.size()
    guard size <= UInt64(limit) else { throw SystemError("read", path: path, errno: EFBIG) }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    let count = try file.read(into: &bytes)
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// What an unprivileged writer may still use of the file system that `path` lies on, in bytes.
  public static func freeBytes(_ path: String) throws(SystemError) -> UInt64 {
    var bytes: UInt64 = 0
    guard retrying({ unsafe clinux_free_bytes(path, &bytes) }) == 0 else { throw .last("statvfs", path: path) }
    return bytes
  }

  /// `/a/b` -> `/a`, `/a` -> `/`, `a` -> `.`.
  public static func parent(of path: String) -> String {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }
}
