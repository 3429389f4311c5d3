import LinuxSystem

/// The locks that the attempts of one job took, in a file of the job's folder: a line for each, as `lock-0123`,
/// `lock-0123 of vol1` for one on a volume, and `released` behind that where it was.
///
/// Attempts of a job follow each other and never overlap. So a lock that an earlier one left when it was killed is
/// nobody's, and the next attempt removes it, whatever it was on, rather than wait until it expires. The same goes for its
/// unfinished writes, which carry a number made of the lock's name. Within an attempt, a lock that is held while another is
/// taken has a journal of its own.
public struct LockJournal: Sendable {
  private let path: String
  /// Whether more than locks is written under them: then names stay after their locks' release, since a stub of theirs
  /// may be in the store, and an abandoned one stays so until everything unfinished is found.
  let keepsReleased: Bool

  /// The folder must be there; the file need not.
  public init(path: String, keepsReleased: Bool = false) {
    self.path = path
    self.keepsReleased = keepsReleased
  }

  /// A lock that the journal has.
  struct Entry: Sendable, Hashable {
    var name: String
    var domain: LockDomain
    var isReleased = false

    init(name: String, domain: LockDomain) {
      self.name = name
      self.domain = domain
    }
  }

  func names() throws(StoreError) -> [String] { try entries().map(\.name) }

  /// Locks that were not released: whoever held them died.
  func abandoned() throws(StoreError) -> [Entry] { try entries().filter { !$0.isReleased } }

  /// To be called before the lock's file, or a stub with its name, is written.
  func add(_ lock: String, on domain: LockDomain) throws(StoreError) {
    var entries = try entries()
    if entries.contains(where: { $0.name == lock }) { return }
    entries.append(Entry(name: lock, domain: domain))
    try write(entries)
  }

  /// Nothing is written under these locks any more, and nothing unfinished of theirs is left.
  func release(_ locks: [String]) throws(StoreError) {
    var entries = try entries()
    guard entries.contains(where: { locks.contains($0.name) && !$0.isReleased }) else { return }
    if keepsReleased {
      for index in entries.indices where locks.contains(entries[index].name) { entries[index].isReleased = true }
    } else {
      entries.removeAll { locks.contains($0.name) }
    }
    guard entries.isEmpty else { return try write(entries) }
    do throws(SystemError) { try Folder.remove(file: path) } catch { throw .jobFolder(error) }
  }

  /// Best effort: what stays goes with the job's folder.
  func remove() {
    for _ in 1...2 where (try? Folder.remove(file: path)) != nil { return }
  }

  private func entries() throws(StoreError) -> [Entry] {
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return [] }
      return String(decoding: try Folder.readFile(path, limit: 1 << 20), as: UTF8.self)
        .split(separator: "\n").compactMap { Entry(line: $0) }
    } catch {
      throw .jobFolder(error)
    }
  }

  private func write(_ entries: [Entry]) throws(StoreError) {
    let text = entries.map(\.line).joined(separator: "\n")
    do throws(SystemError) { try Folder.writeDurably(path, Array(text.utf8), permissions: 0o600) } catch {
      throw .jobFolder(error)
    }
  }
}

extension LockJournal.Entry {
  private static let volume = "of"
  private static let released = "released"

  fileprivate var line: String {
    var words = [name]
    if case .volume(let volume) = domain { words += [Self.volume, volume] }
    if isReleased { words.append(Self.released) }
    return words.joined(separator: " ")
  }

  /// Nil for a line that is none.
  fileprivate init?(line: Substring) {
    var words = line.split(separator: " ").map(String.init)
    guard let name = words.first, StoreName.isValid(name) else { return nil }
    self.init(name: name, domain: .images)
    words.removeFirst()
    if words.count >= 2, words[0] == Self.volume {
      guard StoreName.isValid(words[1]) else { return nil }
      domain = .volume(words[1])
      words.removeFirst(2)
    }
    isReleased = words.first == Self.released
  }
}

extension StoreError {
  static func jobFolder(_ error: SystemError) -> StoreError {
    StoreError(
      error.isNoSpace ? .noSpace : .io, "the job's folder can't be used: \(error)", systemError: error.errno)
  }
}
