import LinuxSystem

/// What a backup keeps in its job's folder between attempts: the names of the blocks that were safe at the last
/// checkpoint (`backup.blocks`), beside those of its locks (`backup.locks`).
final class BackupJournal: Sendable {
  let locks: LockJournal
  private let blocks: String
  /// One flag byte, then the name's bytes.
  private static let recordLength = 33

  init(folder: String) {
    locks = LockJournal(path: "\(folder)/backup.locks", keepsReleased: true)
    blocks = "\(folder)/backup.blocks"
  }

  /// Keeps the names of the blocks from index `start` on, durably. Nil stands for a hole.
  func record(_ names: ArraySlice<BlockName?>, from start: Int) throws(StoreError) {
    var bytes = [UInt8](repeating: 0, count: names.count * Self.recordLength)
    bytes.withUnsafeMutableBytes { bytes in
      for (index, name) in names.enumerated() {
        guard let name else { continue }
        let start = index * Self.recordLength
        bytes[start] = 1
        name.store(into: UnsafeMutableRawBufferPointer(rebasing: bytes[(start + 1)..<(start + Self.recordLength)]))
      }
    }
    do throws(SystemError) {
      let file = try OpenFile.open(blocks, .create(permissions: 0o600))
      let result = bytes.withUnsafeBytes { bytes in
        Result { () throws(SystemError) in try file.write(bytes, at: UInt64(start * Self.recordLength)) }
      }
      try result.get()
      try file.sync()
      if start == 0 { try Folder.sync(Folder.parent(of: blocks)) }
    } catch {
      throw .jobFolder(error)
    }
  }

  /// The first `count` names; nil when the file does not have them.
  func names(count: Int) throws(StoreError) -> [BlockName?]? {
    let length = count * Self.recordLength
    let bytes: [UInt8]
    do throws(SystemError) {
      guard let status = try FileStatus.of(blocks), status.size >= UInt64(length) else {
        return count == 0 ? [] : nil
      }
      bytes = try Folder.readFile(blocks, limit: .max)
    } catch {
      throw .jobFolder(error)
    }
    return bytes.withUnsafeBytes { bytes in
      (0..<count).map { index in
        let record = bytes[(index * Self.recordLength)..<((index + 1) * Self.recordLength)]
        return record.first == 1 ? BlockName(bytes: UnsafeRawBufferPointer(rebasing: record.dropFirst())) : nil
      }
    }
  }

  /// Best effort: what stays goes with the job's folder.
  func remove() {
    locks.remove()
    try? Folder.remove(file: blocks)
  }
}
