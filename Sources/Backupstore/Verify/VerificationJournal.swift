import LinuxSystem

/// How far a verification has come, in a file of the job's folder, so that the next attempt goes on there. A line an
/// entry; the file is replaced as a whole.
struct VerificationJournal: Sendable {
  /// Absolute.
  let path: String
  /// What is verified: another verification's file is nobody's.
  let subject: String

  private static let heading = "drover-verification 1"

  struct Progress: Sendable, Hashable {
    /// Pools that are done.
    var finished: [StorePool] = []
    /// The last block of the next pool that was read; all before it by name were.
    var last: BlockName?
    var readBlocks: UInt64 = 0
    var readBytes: UInt64 = 0
    var findings: [StorePool: Findings] = [:]
    var asideBlocks: UInt64 = 0
    var repairProblem: String?
  }

  /// What is wrong with blocks of one pool.
  struct Findings: Sendable, Hashable {
    /// Why they can't be used.
    var bad: [BlockName: String] = [:]
    /// Those of them that were moved aside or are gone otherwise.
    var moved: Set<BlockName> = []
    /// Bytes of good blocks that some config believes to be longer or shorter.
    var lengths: [BlockName: Int] = [:]
    /// Blocks that a listing showed and that were not there to be read.
    var vanished: Set<BlockName> = []

    var isEmpty: Bool { bad.isEmpty && lengths.isEmpty && vanished.isEmpty }

    /// Nil: nothing is known against the block in that place.
    func reason(_ block: BlockEntry, _ backup: PooledBackup) -> String? {
      if let reason = bad[block.name] { return reason }
      guard let length = lengths[block.name], length != backup.length(of: block) else { return nil }
      return "it has \(length) bytes instead of \(backup.length(of: block))"
    }

    /// Whether a damaged block has an object under its name, so that nobody writes it again.
    func isInPlace(_ name: BlockName) -> Bool {
      if bad[name] != nil { return !moved.contains(name) }
      return lengths[name] != nil
    }

    mutating func merge(_ other: Findings) {
      bad.merge(other.bad) { old, _ in old }
      moved.formUnion(other.moved)
      lengths.merge(other.lengths) { old, _ in old }
      vanished.formUnion(other.vanished)
    }
  }

  /// Nil: nothing was kept, or of something else.
  func load() throws(StoreError) -> Progress? {
    let text: String
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return nil }
      text = String(decoding: try Folder.readFile(path, limit: 1 << 30), as: UTF8.self)
    } catch {
      throw .jobFolder(error)
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    guard lines.popFirst().map(String.init) == Self.heading, lines.popFirst().map(String.init) == subject else {
      return nil
    }
    var progress = Progress()
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
      switch words.first {
      case "finished" where words.count == 2: progress.finished.append(Self.pool(words[1]))
      case "last" where words.count == 2: progress.last = BlockName(words[1])
      case "read" where words.count == 3:
        guard let blocks = UInt64(words[1]), let bytes = UInt64(words[2]) else { return nil }
        (progress.readBlocks, progress.readBytes) = (blocks, bytes)
      case "aside" where words.count == 2: progress.asideBlocks = UInt64(words[1]) ?? 0
      case "kept": progress.repairProblem = String(line.dropFirst(5))
      case "bad" where words.count == 4:
        guard let name = BlockName(words[2]) else { return nil }
        progress.findings[Self.pool(words[1]), default: Findings()].bad[name] = String(words[3])
      case "length" where words.count == 4:
        guard let name = BlockName(words[2]), let length = Int(words[3]) else { return nil }
        progress.findings[Self.pool(words[1]), default: Findings()].lengths[name] = length
      case "moved" where words.count == 3:
        guard let name = BlockName(words[2]) else { return nil }
        progress.findings[Self.pool(words[1]), default: Findings()].moved.insert(name)
      case "vanished" where words.count == 3:
        guard let name = BlockName(words[2]) else { return nil }
        progress.findings[Self.pool(words[1]), default: Findings()].vanished.insert(name)
      case "end": return progress
      default: return nil
      }
    }
    return nil
  }

  func save(_ progress: Progress) throws(StoreError) {
    var lines = [Self.heading, subject]
    lines += progress.finished.map { "finished \(Self.word($0))" }
    if let last = progress.last { lines.append("last \(last)") }
    lines.append("read \(progress.readBlocks) \(progress.readBytes)")
    lines.append("aside \(progress.asideBlocks)")
    if let problem = progress.repairProblem { lines.append("kept \(Self.line(problem))") }
    for (pool, findings) in progress.findings {
      lines += findings.bad.map { "bad \(Self.word(pool)) \($0) \(Self.line($1))" }
      lines += findings.moved.map { "moved \(Self.word(pool)) \($0)" }
      lines += findings.vanished.map { "vanished \(Self.word(pool)) \($0)" }
      lines += findings.lengths.map { "length \(Self.word(pool)) \($0) \($1)" }
    }
    lines.append("end")
    do throws(SystemError) {
      try Folder.writeDurably(path, Array(lines.joined(separator: "\n").utf8), permissions: 0o600)
    } catch {
      throw .jobFolder(error)
    }
  }

  /// Best effort: what stays goes with the job's folder.
  func remove() { try? Folder.remove(file: path) }

  private static func word(_ pool: StorePool) -> String {
    switch pool {
    case .images: "images"
    case .volume(let name): "volume:\(name)"
    }
  }

  private static func pool(_ word: Substring) -> StorePool {
    word.hasPrefix("volume:") ? .volume(String(word.dropFirst("volume:".count))) : .images
  }

  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}
