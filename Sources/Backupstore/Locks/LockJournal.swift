import LinuxSystem

/// The locks that the attempts of one job took, in a file of the job's folder: a name a line.
///
/// Attempts of a job follow each other and never overlap. So a lock that an earlier one left when it was killed is
/// nobody's, and the next attempt removes it rather than wait until it expires. The same goes for its unfinished writes,
/// which carry a number made of the lock's name.
public struct LockJournal: Sendable {
  private let path: String
  /// Whether more than locks is written under them: then names stay after their locks' release, since a stub of theirs
  /// may be in the store, and an abandoned one stays so until everything unfinished is found.
  let keepsReleased: Bool
  private static let released = " released"

  /// The folder must be there; the file need not.
  public init(path: String, keepsReleased: Bool = false) {
    self.path = path
    self.keepsReleased = keepsReleased
  }

  func names() throws(StoreError) -> [String] { try lines().map(\.name) }

  /// Of locks that were not released: whoever held them died.
  func abandoned() throws(StoreError) -> [String] { try lines().filter { !$0.isReleased }.map(\.name) }

  /// To be called before the lock's file, or a stub with its name, is written.
  func add(_ lock: String) throws(StoreError) {
    var lines = try lines()
    if lines.contains(where: { $0.name == lock }) { return }
    lines.append((lock, false))
    try write(lines)
  }

  /// Nothing is written under these locks any more, and nothing unfinished of theirs is left.
  func release(_ locks: [String]) throws(StoreError) {
    var lines = try lines()
    guard lines.contains(where: { locks.contains($0.name) && !$0.isReleased }) else { return }
    if keepsReleased {
      lines = lines.map { ($0.name, $0.isReleased || locks.contains($0.name)) }
    } else {
      lines.removeAll { locks.contains($0.name) }
    }
    guard lines.isEmpty else { return try write(lines) }
    do throws(SystemError) { try Folder.remove(file: path) } catch { throw .jobFolder(error) }
  }

  /// Best effort: what stays goes with the job's folder.
  func remove() {
    for _ in 1...2 where (try? Folder.remove(file: path)) != nil { return }
  }

  private func lines() throws(StoreError) -> [(name: String, isReleased: Bool)] {
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return [] }
      return String(decoding: try Folder.readFile(path, limit: 1 << 20), as: UTF8.self)
        .split(separator: "\n").map(String.init)
        .map { $0.hasSuffix(Self.released) ? (String($0.dropLast(Self.released.count)), true) : ($0, false) }
        .filter { StoreName.isValid($0.0) }
    } catch {
      throw .jobFolder(error)
    }
  }

  private func write(_ lines: [(name: String, isReleased: Bool)]) throws(StoreError) {
    let text = lines.map { $0.name + ($0.isReleased ? Self.released : "") }.joined(separator: "\n")
    do throws(SystemError) { try Folder.writeDurably(path, Array(text.utf8), permissions: 0o600) } catch {
      throw .jobFolder(error)
    }
  }
}

extension StoreError {
  static func jobFolder(_ error: SystemError) -> StoreError {
    StoreError(
      error.isNoSpace ? .noSpace : .io, "the job's folder can't be used: \(error)", systemError: error.errno)
  }
}
