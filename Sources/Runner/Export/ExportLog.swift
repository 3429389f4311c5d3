import DroverModel
import FoundationEssentials
import Glibc
import LinuxSystem
import Synchronization

/// The file that an export tells people things in, one line each with time and level. One that has grown long is kept as
/// `NAME.1`, and a new one begun: a client that misbehaves for a year fills no disk.
final class ExportLog: Sendable {
  private let path: String
  private let file: Mutex<OpenFile>
  private static let longest: UInt64 = 1 << 20

  /// - Throws: SystemError where the file can't be opened.
  init(_ path: String) throws(SystemError) {
    self.path = path
    file = Mutex(try Self.open(path))
  }

  private static func open(_ path: String) throws(SystemError) -> OpenFile {
    let file = try OpenFile.open(path, .create(permissions: 0o600), followLinks: false)
    _ = fcntl(file.descriptor, F_SETFL, fcntl(file.descriptor, F_GETFL) | O_APPEND)
    return file
  }

  /// What the runtime says of a crash goes there as well, and nothing to whoever started this.
  func takeStandardOutput() {
    file.withLock { file in
      _ = dup2(file.descriptor, 1)
      _ = dup2(file.descriptor, 2)
    }
  }

  func write(_ level: LogLevel, _ message: String) {
    let now = Date().formatted(.iso8601)
    let line = Array("\(now) \(level.rawValue) \(message)\n".utf8)
    let isLong = file.withLock { file in
      // It is open for appending: the offset means nothing.
      line.withUnsafeBytes { bytes in _ = Glibc.write(file.descriptor, bytes.baseAddress!, bytes.count) }
      guard let size = try? file.size(), size > Self.longest else { return false }
      try? Folder.rename(path, path + ".1")
      if let new = try? Self.open(path) { file = new }
      return true
    }
    if isLong { takeStandardOutput() }
  }
}
