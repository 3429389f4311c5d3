import Glibc
import LinuxSystem
import StageKit

/// A file that is being written, and gets its name in the end. Only its owner may read it, as a disk may hold anything.
final class NewFile: Device {
  private let params: NewFileParams
  private let file: OpenFile
  private let writer: DirectWriter

  init(_ params: NewFileParams) throws {
    self.params = params
    file = try Self.claim(params.partial)
    writer = DirectWriter(file)
  }

  /// Empty, and locked against another job that would make the same file.
  private static func claim(_ path: String) throws -> OpenFile {
    while true {
      let file = try OpenFile.open(path, .create(permissions: 0o600), followLinks: false)
      guard try file.tryLockExclusive() else {
        throw StageError("locked", "something else is just making that file: \(path) is locked", retry: .transient)
      }
      guard try file.status().isRegular else { throw StageError("conflict", "\(path) is there and is no file") }
      // Whoever had it locked may have renamed or removed it between the two calls.
      guard try isNamed(file, path) else { continue }
      try file.truncate(to: 0)
      return file
    }
  }

  /// Whether the file is still the one that has the name.
  static func isNamed(_ file: OpenFile, _ path: String) throws -> Bool {
    try FileStatus.of(path, followLinks: false)?.inode == file.status().inode
  }

  func info() -> DeviceInfo {
    DeviceInfo(
      size: nil, blockPreferred: 2 << 20,
      flags: params.hash == true ? [.writable, .startsZero, .imageFile] : [.writable, .startsZero])
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try writer.write(buffer, at: offset)
  }

  /// Beyond the end there is nothing to do: the file gets its length in the end.
  func zero(offset: UInt64, length: UInt64) throws {
    let size = try file.size()
    if offset < size { try file.punchHole(offset: offset, length: min(length, size - offset)) }
  }

  func flush() throws { try file.syncData() }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    FileRange(descriptor: file.descriptor, offset: offset)
  }

  func commit(_ commit: Commit) throws {
    try file.truncate(to: commit.size)
    try file.sync()
    guard try Self.isNamed(file, params.partial) else {
      throw StageError("conflict", "\(params.partial) was removed or replaced while it was written")
    }
    guard params.replace != true else { return try Folder.rename(params.partial, params.path) }
    do throws(SystemError) {
      try Folder.renameNew(params.partial, params.path)
    } catch {
      switch error.errno {
      case EEXIST: throw NewFileParams.taken(params.path)
      // Some file systems can't rename without replacing. What came into the place meanwhile is looked for once more.
      case EINVAL, ENOSYS:
        try params.checkPlace()
        try Folder.rename(params.partial, params.path)
      default: throw error
      }
    }
  }
}
