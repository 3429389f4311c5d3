import DroverModel
import Glibc
import LinuxSystem

/// Whether code may be loaded from a path: the file and each folder above it must belong to root or to this process'
/// user and not be writable by others. A sticky folder is accepted above, since nobody can replace there what is not
/// theirs.
enum TrustedPath {
  /// The path without symbolic links, each component of which was opened and looked at. Nobody but root and this user
  /// can change what it names, so it stays good until it is used.
  static func resolve(_ path: String) throws(Fault) -> String {
    // The folder that was named decides what the link in it names, so both are looked at.
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    try check(try real(parent.isEmpty ? "/" : parent, plugin: path), isFile: false, plugin: path)
    let file = try real(path, plugin: path)
    try check(file, isFile: true, plugin: path)
    return file
  }

  private static func real(_ path: String, plugin: String) throws(Fault) -> String {
    guard let resolved = realpath(path, nil) else {
      let code: Fault.Code = errno == ENOENT ? .notFound : .pluginRefused
      throw Fault(code, "plugin \(plugin): can't be opened: \(String(cString: strerror(errno)))")
    }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  private static func check(_ path: String, isFile: Bool, plugin: String) throws(Fault) {
    let components = path.split(separator: "/").map(String.init)
    var name = "/"
    var descriptor = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(descriptor) }
    for index in -1..<components.count {
      let last = isFile && index == components.count - 1
      if index >= 0 {
        name += (name == "/" ? "" : "/") + components[index]
        // O_PATH, behind a feature-test macro: a folder that may be passed but not read is fine.
        let way = last ? O_RDONLY | O_NONBLOCK : 0o10000000 | O_DIRECTORY
        let next = openat(descriptor, components[index], way | O_NOFOLLOW | O_CLOEXEC)
        guard next >= 0 else {
          throw Fault(
            .pluginRefused, "plugin \(plugin): \(name) can't be opened: \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        descriptor = next
      }
      guard let status = try? FileStatus.of(descriptor: descriptor, path: name) else {
        throw Fault(.pluginRefused, "plugin \(plugin): \(name) can't be looked at")
      }
      try check(status, name: name, isFile: last, plugin: plugin)
    }
  }

  private static func check(_ status: FileStatus, name: String, isFile: Bool, plugin: String) throws(Fault) {
    if isFile, !status.isRegular { throw Fault(.pluginRefused, "plugin \(plugin): \(name) is no regular file") }
    guard status.owner == 0 || status.owner == geteuid() else {
      throw Fault(
        .pluginRefused, "plugin \(plugin): \(name) belongs to user \(status.owner), not to root or user \(geteuid())",
        hint: "chown it to root, or to the user that Drover runs as")
    }
    let sticky = !isFile && status.mode & UInt32(S_ISVTX) != 0
    guard status.mode & 0o022 == 0 || sticky else {
      let mode = String(status.permissions, radix: 8)
      throw Fault(
        .pluginRefused, "plugin \(plugin): \(name) can be written by others (mode \(mode))",
        hint: "chmod go-w \(name)")
    }
  }
}
