import DroverModel
import LinuxSystem

/// The right to serve at one socket path, held by a lock on `PATH.lock` for as long as this value lives.
///
/// The socket is bound under another name, given its group and permission bits, and then renamed: nobody can connect
/// before they are right, and a stale file is replaced in one step. The lock file stays where it is.
final class SocketClaim: Sendable {
  let path: String
  /// Where to bind; as long as `path`, so that both fit into an address or neither does.
  let bindPath: String
  private let lock: OpenFile

  /// Fails with `conflict` where another daemon holds the path, where anybody at all answers on it, or where something
  /// that is no socket has its name.
  init(_ path: String) throws {
    guard path.hasPrefix("/"), path.utf8.count <= SocketFile.longestPath else {
      throw Fault(
        .invalid, "can't serve at \(path): a socket path is absolute and at most \(SocketFile.longestPath) bytes long",
        hint: "name a shorter one with --socket")
    }
    self.path = path
    bindPath = String(path.dropLast()) + "~"
    let folder = String(path[..<path.lastIndex(of: "/")!])
    do {
      if !folder.isEmpty, try FileStatus.of(folder) == nil { try Folder.create(folder, permissions: 0o755) }
      lock = try OpenFile.open(path + ".lock", .create(permissions: 0o600), followLinks: false)
      guard try lock.tryLockExclusive() else {
        throw Fault(
          .conflict, "another daemon serves at \(path)", hint: "stop it, or name another socket with --socket")
      }
      guard let status = try FileStatus.of(path, followLinks: false) else { return }
      guard status.isSocket else {
        throw Fault(.conflict, "\(path) is there and is no socket", hint: "move it away, or name another with --socket")
      }
      if try SocketFile.answers(path) {
        throw Fault(
          .conflict, "another program answers at \(path)", hint: "stop it, or name another socket with --socket")
      }
    } catch let error as SystemError {
      throw Fault(.io, "can't serve at \(path): \(error)")
    }
  }

  /// Removes what an earlier daemon left at the name to bind. Call it right before binding.
  func clearBindPath() throws {
    try Folder.remove(file: bindPath)
  }

  /// Gives the bound socket its group and its mode 0660, and then its name.
  func publish(group: String?) throws {
    do {
      var id: UInt32?
      if let group {
        id = try UserGroup.id(group)
        guard id != nil else {
          throw Fault(
            .invalid, "there is no group \(group) for \(path)", hint: "correct groups.write or groups.read")
        }
      }
      try SocketFile.setAccess(bindPath, permissions: 0o660, group: id)
      try Folder.rename(bindPath, path)
    } catch let error as SystemError {
      throw Fault(.io, "can't serve at \(path): \(error)")
    }
  }

  /// Removes the socket. Nobody else can have put one there: they lack the lock.
  func withdraw() {
    try? Folder.remove(file: path)
  }
}
