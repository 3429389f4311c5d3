import LinuxSystem

/// The names of the locks that the attempts of one job took, in a file of the job's folder.
///
/// Attempts of a job follow each other and never overlap. So a lock that an earlier one left when it was killed is
/// nobody's, and the next attempt removes it rather than wait until it expires.
public struct LockJournal: Sendable {
  private let path: String

  /// The folder must be there; the file need not.
  public init(path: String) { self.path = path }

  func names() throws(StoreError) -> [String] {
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return [] }
      return String(decoding: try Folder.readFile(path, limit: 1 << 20), as: UTF8.self)
        .split(separator: "\n").map(String.init).filter { StoreName.isValid($0) }
    } catch {
      throw .jobFolder(error)
    }
  }

  /// To be called before the lock's file, or a stub with its name, is written.
  func add(_ lock: String) throws(StoreError) {
    let names = try names()
    if names.contains(lock) { return }
    do throws(SystemError) {
      try Folder.writeDurably(path, Array((names + [lock]).joined(separator: "\n").utf8), permissions: 0o600)
    } catch {
      throw .jobFolder(error)
    }
  }

  /// Best effort: what stays goes with the job's folder.
  func remove() { try? Folder.remove(file: path) }
}

extension StoreError {
  static func jobFolder(_ error: SystemError) -> StoreError {
    StoreError(
      error.isNoSpace ? .noSpace : .io, "the job's folder can't be used: \(error)", systemError: error.errno)
  }
}
