import Glibc
import LinuxSystem
import StageKit

/// A file that is being written, and gets its name in the end. Only its owner may read it, as a disk may hold anything.
final class NewFile: Device {
  private let params: NewFileParams
  private let file: OpenFile
  private let writer: DirectWriter
  /// Tells this unfinished file from any other that had its name; nil where the file system has no place for it.
  private let identifier: String?

  /// The attribute that holds it.
  private static let attribute = "user.drover.partial"

  /// - Parameter identifier: Of the unfinished file that an earlier attempt left, to go on with it.
  init(_ params: NewFileParams, continuing identifier: String?) throws {
    self.params = params
    if let identifier {
      file = try Self.reclaim(params.partial, identifier)
      self.identifier = identifier
    } else {
      file = try Self.claim(params.partial)
      let new =
        String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
      self.identifier = try file.setAttribute(Self.attribute, new) ? new : nil
    }
    writer = DirectWriter(file)
  }

  /// As it was left, and locked. Throws with retry `never` where it is gone, or is another.
  private static func reclaim(_ path: String, _ identifier: String) throws -> OpenFile {
    guard let status = try FileStatus.of(path, followLinks: false), status.isRegular else { throw gone(path) }
    let file = try OpenFile.open(path, .readWrite, followLinks: false)
    guard try file.tryLockExclusive() else { throw inUse(path) }
    guard try isNamed(file, path), try file.attribute(attribute) == identifier else { throw gone(path) }
    return file
  }

  private static func gone(_ path: String) -> StageError {
    StageError("not-found", "what an earlier attempt had written to \(path) is gone")
  }

  private static func inUse(_ path: String) -> StageError {
    StageError("locked", "something else is just making that file: \(path) is locked", retry: .transient)
  }

  /// Empty, and locked against another job that would make the same file.
  private static func claim(_ path: String) throws -> OpenFile {
    while true {
      let file = try OpenFile.open(path, .create(permissions: 0o600), followLinks: false)
      guard try file.tryLockExclusive() else { throw inUse(path) }
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
      flags: params.hash == true ? [.writable, .startsZero, .imageFile] : [.writable, .startsZero],
      identity: identifier)
  }

  /// What was not written yet reads as zero, also beyond the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let count = try file.read(into: buffer, at: offset)
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    return buffer.count
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

  func checkpoint(offset: UInt64) throws -> [UInt8]? { identifier.map { Array($0.utf8) } }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    FileRange(descriptor: file.descriptor, offset: offset)
  }

  func commit(_ commit: Commit) throws {
    try file.truncate(to: commit.size)
    if identifier != nil { try file.removeAttribute(Self.attribute) }
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
