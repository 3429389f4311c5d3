import Glibc
import LinuxSystem

/// The folder of one volume, and every way in which it is changed.
public struct VolumeFolder: Sendable {
  /// Absolute, without a slash at the end.
  public let path: String
  /// Asked before each change of the disk, with what it will be; throwing prevents it. For tests of what happens when
  /// that one fails, or when it is the one that a crash prevented.
  let beforeEffect: (@Sendable (String) throws -> Void)?

  public init(_ path: String) { self.init(path, beforeEffect: nil) }

  init(_ path: String, beforeEffect: (@Sendable (String) throws -> Void)?) {
    self.path = path
    self.beforeEffect = beforeEffect
  }

  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  /// A folder beside it that no volume can be, since no volume's name begins with a dot.
  func beside(_ what: String) -> VolumeFolder {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    return VolumeFolder(path.dropLast(name.utf8.count) + ".\(what)-\(name)", beforeEffect: beforeEffect)
  }

  /// Held exclusively as long as the file is open; throws `locked` where somebody else has it.
  func lock(_ name: String) throws -> OpenFile {
    let file = try OpenFile.open(self(name), .create(permissions: 0o600), followLinks: false)
    guard try file.lockExclusiveSoon() else {
      throw VolumeError(
        .locked, "the volume in \(path) is in use", hint: "detach it, or wait for what reads it", retry: .transient)
    }
    return file
  }

  func effect(_ what: @autoclosure () -> String) throws {
    if let beforeEffect { try beforeEffect(what()) }
  }

  /// Temporary with Longhorn's name for one, fsync, rename, fsync of the folder.
  func write(_ name: String, _ bytes: [UInt8]) throws {
    let temporary = self(name) + ".tmp"
    try effect("write \(name).tmp")
    try Folder.remove(file: temporary)
    do {
      let file = try OpenFile.open(temporary, .createNew(permissions: 0o600))
      try bytes.withUnsafeBytes { try file.write($0, at: 0) }
      try file.sync()
    } catch {
      try? Folder.remove(file: temporary)
      throw error
    }
    try effect("rename \(name).tmp")
    try Folder.rename(temporary, self(name))
  }

  func remove(_ name: String) throws {
    guard try FileStatus.of(self(name), followLinks: false) != nil else { return }
    try effect("remove \(name)")
    try Folder.remove(file: self(name))
  }

  func link(_ name: String, as other: String) throws {
    try effect("link \(name) as \(other)")
    try Folder.link(self(name), as: self(other))
  }

  /// Replaces what has the new name.
  func rename(_ name: String, to other: String) throws {
    try effect("rename \(name) to \(other)")
    try Folder.rename(self(name), self(other))
  }

  func sync() throws {
    try effect("sync the folder")
    try Folder.sync(path)
  }

  /// A new layer without any data, on disk but for its name.
  func createLayer(_ name: String, size: UInt64) throws -> LayerFile {
    try effect("create \(name)")
    let file: OpenFile
    do {
      file = try OpenFile.open(self(name), .createNew(permissions: 0o600))
    } catch {
      guard error.errno == EEXIST else { throw error }
      throw VolumeError(
        .conflict, "\(self(name)) is in the way of a new layer", hint: "nothing of the volume names it; move it away")
    }
    do {
      try file.truncate(to: size)
      try file.sync()
    } catch {
      try? Folder.remove(file: self(name))
      throw error
    }
    return try LayerFile(name, file, in: self)
  }

  /// Opens a layer. A symbolic link and all that is no plain file is refused.
  func openLayer(_ name: String, writable: Bool = false) throws -> LayerFile {
    let status = try FileStatus.of(self(name), followLinks: false)
    guard let status else {
      throw VolumeError(
        .badFormat, "the layer \(self(name)) is missing", hint: "import what is left of the volume to go on without it")
    }
    guard status.isRegular else { throw VolumeError(.badFormat, "\(self(name)) is no plain file") }
    return try LayerFile(name, OpenFile.open(self(name), writable ? .readWrite : .read, followLinks: false), in: self)
  }

  /// A record's bytes. Nil where there is none.
  func read(_ name: String) throws -> [UInt8]? {
    guard let status = try FileStatus.of(self(name), followLinks: false) else { return nil }
    guard status.isRegular, status.size <= 1 << 20 else {
      throw VolumeError(.badFormat, "\(self(name)) is no record: \(status.isRegular ? "too long" : "no plain file")")
    }
    do {
      return try Folder.readFile(self(name), limit: 1 << 20)
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  /// Throws where the file system can't keep volumes: it must tell which of a file's blocks were written, to 4 KiB.
  func requireExtents() throws {
    let refusal = VolumeError(
      .notSupported, "the file system of \(path) can't keep volumes: it does not tell a file's extents to the 4 KiB",
      hint: "use ext4, XFS or btrfs with blocks of 4 KiB")
    do {
      let probe = try OpenFile.unnamed(in: path)
      try probe.truncate(to: 1 << 20)
      try [UInt8](repeating: 1, count: Int(Volume.sectorSize)).withUnsafeBytes { try probe.write($0, at: 512 << 10) }
      let expected = [AllocatedRun(offset: 512 << 10, length: Volume.sectorSize)]
      guard try probe.allocatedRuns(offset: 0, length: 1 << 20).runs == expected else { throw refusal }
    } catch let error as SystemError {
      switch error.errno {
      case EOPNOTSUPP, ENOTTY, EISDIR, EINVAL: throw refusal
      // Nothing can be written there, so nothing is tried.
      case EROFS, EACCES, EPERM: return
      default: throw error
      }
    }
  }
}
