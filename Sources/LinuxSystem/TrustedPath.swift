import Glibc

/// Whether code may be loaded from a path: what it names and each folder above it must belong to root or to this process'
/// user and not be writable by others. A sticky folder is accepted above, since nobody can replace there what is not
/// theirs.
public enum TrustedPath {
  /// Why a path is not trusted. `path` is the one that is wrong, which may lie above the one that was asked about.
  public struct Refusal: Error, Sendable, Hashable {
    public var path: String
    /// Goes on after the path: `can be written by others (mode 777)`.
    public var reason: String
    /// What to do about it.
    public var hint: String?
    /// What was asked about is not there.
    public var isAbsent = false
  }

  public enum Kind: Sendable { case file, folder }

  /// The path without symbolic links, each component of which was opened and looked at. Nobody but root and this user
  /// can change what it names, so it stays good until it is used.
  public static func resolve(_ path: String, _ kind: Kind = .file) throws(Refusal) -> String {
    // The folder that was named decides what the link in it names, so both are looked at.
    try check(try real(Folder.parent(of: path)), isFile: false, isAbove: true)
    let resolved = try real(path)
    try check(resolved, isFile: kind == .file, isAbove: false)
    return resolved
  }

  private static func real(_ path: String) throws(Refusal) -> String {
    guard let resolved = unsafe realpath(path, nil) else {
      let code = Glibc.errno
      throw Refusal(path: path, reason: "can't be opened: \(answer(code))", isAbsent: code == ENOENT)
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  private static func check(_ path: String, isFile: Bool, isAbove: Bool) throws(Refusal) {
    let components = path.split(separator: "/").map(String.init)
    var name = "/"
    var descriptor = unsafe open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(descriptor) }
    for index in -1..<components.count {
      let isLast = index == components.count - 1
      let isFile = isFile && isLast
      if index >= 0 {
        name += (name == "/" ? "" : "/") + components[index]
        // O_PATH, behind a feature-test macro: a folder that may be passed but not read is fine.
        let way = isFile ? O_RDONLY | O_NONBLOCK : 0o10000000 | O_DIRECTORY
        let next = unsafe openat(descriptor, components[index], way | O_NOFOLLOW | O_CLOEXEC)
        guard next >= 0 else { throw Refusal(path: name, reason: "can't be opened: \(answer(Glibc.errno))") }
        close(descriptor)
        descriptor = next
      }
      guard let status = try? FileStatus.of(descriptor: descriptor, path: name) else {
        throw Refusal(path: name, reason: "can't be looked at")
      }
      try check(status, name: name, isFile: isFile, isAbove: isAbove || !isLast)
    }
  }

  private static func check(_ status: FileStatus, name: String, isFile: Bool, isAbove: Bool) throws(Refusal) {
    if isFile, !status.isRegular { throw Refusal(path: name, reason: "is no regular file") }
    guard status.owner == 0 || status.owner == geteuid() else {
      throw Refusal(
        path: name, reason: "belongs to user \(status.owner), not to root or user \(geteuid())",
        hint: "chown it to root, or to the user that Drover runs as")
    }
    let isSticky = isAbove && status.mode & UInt32(S_ISVTX) != 0
    guard status.mode & 0o022 == 0 || isSticky else {
      let mode = String(status.permissions, radix: 8)
      throw Refusal(
        path: name, reason: "can be written by others (mode \(mode))", hint: "chmod go-w \(name)")
    }
  }

  private static func answer(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
