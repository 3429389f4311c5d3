import LinuxSystem
import Synchronization

/// An image's backup while it is made: takes blocks in any order from many threads, and turns them into a complete
/// backup in one step. Source: longhorn-format, 7.1, and the store's safety rules.
///
/// While it is open it takes, then holds, a lock for use on the store's images, and from then on a stub is in the image's
/// place. Blocks that were written or seen before the lock was held count only if a listing under it shows them; the
/// others are written once more before the commit. If the store already has a complete backup of the same content,
/// nothing is written but the blocks that it turns out to lack.
public final class ImageBackup: Sendable {
  let session: StoreSession
  let request: ImageBackupRequest
  let claim: BackupClaim
  let journal: BackupJournal
  let uploader: BlockUploader
  let url: ImageBackupURL
  let createdTime: String
  /// A complete backup of the same content that was there before; nil: this one is being made.
  let existing: ImageConfig?
  private let zeroNames: (whole: BlockName, last: BlockName)
  private let table: Mutex<Table>
  /// The journal is needed no more once the lock is released: before, it is what names a lock that a death leaves.
  let isDone = Atomic(false)

  private struct Table {
    /// By index of the block; nil is a hole.
    var names: [BlockName?]
    /// How many of them the journal has.
    var recorded: Int
  }

  init(
    session: StoreSession, request: ImageBackupRequest, claim: BackupClaim, url: ImageBackupURL,
    uploader: BlockUploader,
    createdTime: String, existing: ImageConfig?
  ) {
    self.session = session
    self.request = request
    self.claim = claim
    self.url = url
    self.uploader = uploader
    self.createdTime = createdTime
    self.existing = existing
    journal = BackupJournal(folder: request.jobFolder)
    zeroNames = Self.zeroNames(size: request.size)
    let count = Int((request.size + ImageConfig.blockSize - 1) / ImageConfig.blockSize)
    table = Mutex(Table(names: Array(repeating: nil, count: count), recorded: 0))
  }

  /// Bytes of the image.
  public var size: UInt64 { request.size }
  /// Of the image in the store.
  public var name: String { request.name }

  /// Takes whole blocks: `offset` is a multiple of the block size, and only the image's last block is short.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StoreError) {
    try checkRange(offset, UInt64(bytes.count))
    let size = Int(ImageConfig.blockSize)
    for (index, name) in BlockName.names(of: bytes, block: size).enumerated() {
      let start = index * size
      let block = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + size, bytes.count)])
      try writeBlock(block, as: name, at: offset + UInt64(start))
    }
  }

  /// Makes the blocks holes.
  public func zero(offset: UInt64, length: UInt64) throws(StoreError) {
    try checkRange(offset, length)
    let first = Int(offset / ImageConfig.blockSize)
    let end = Int((offset + length + ImageConfig.blockSize - 1) / ImageConfig.blockSize)
    table.withLock { table in
      for index in first..<end { table.names[index] = nil }
    }
  }

  /// When it returns, what had been written before it was called is durable.
  public func flush() throws(StoreError) { try session.store.sync(deadline: .usual) }

  /// To be called after a flush: everything below `offset` was written or made a hole before it.
  public func checkpoint(offset: UInt64) throws(StoreError) -> [UInt8] {
    try claimed()
    let count = offset >= request.size ? blockCount : Int(offset / ImageConfig.blockSize)
    let (names, start) = table.withLock { table in
      (table.recorded < count ? table.names[table.recorded..<count] : [], table.recorded)
    }
    if !names.isEmpty {
      try journal.record(names, from: start)
      table.withLock { $0.recorded = max($0.recorded, count) }
    }
    return BackupCheckpoint(
      name: request.name, size: request.size, offset: UInt64(count) * ImageConfig.blockSize, createdTime: createdTime,
      uploadedBytes: uploader.uploadedBytes
    ).encoded()
  }

  /// Releases the lock. Without a commit the stub stays; nobody's lock stands behind it any more.
  public func close() {
    claim.close()
    if isDone.load(ordering: .relaxed) { journal.remove() }
  }

  /// Blocks until the name is this backup's, under a held lock. The one who comes first does it.
  @discardableResult func claimed() throws(StoreError) -> StoreLock {
    try claim.settled { (lock) throws(StoreError) in
      uploader.lockIsHeld()
      guard try Self.waitForName(request, session, lock) == nil else {
        throw StoreError(
          .locked, "somebody else has backed up image \(request.name) to \(session.store.url) meanwhile",
          hint: "the work starts again and compares the two")
      }
      try Self.writeStub(request, createdTime: createdTime, session, lock)
      uploader.found(try Self.listBlocks(request.name, session, lock.name))
    }
  }

  var blockCount: Int { table.withLock { $0.names.count } }

  /// The blocks so far, ascending by offset.
  func entries() -> [BlockEntry] {
    table.withLock { table in
      table.names.enumerated().compactMap { index, name in
        name.map { BlockEntry(offset: UInt64(index) * ImageConfig.blockSize, name: $0) }
      }
    }
  }

  /// Puts the names that an earlier attempt recorded into their places.
  func adopt(_ names: [BlockName?]) {
    table.withLock { table in
      table.names.replaceSubrange(0..<names.count, with: names)
      table.recorded = names.count
    }
  }

  /// Reads a block from the image again and writes it, unless it is a block of zeros and `keepsHoles`. With `expected`,
  /// it must be that one.
  func writeFromSource(at offset: UInt64, expected: BlockName?, keepsHoles: Bool) throws {
    try session.observer.checkCancelled()
    session.observer.phase("uploading again", "offset \(offset)")
    let length = Int(min(ImageConfig.blockSize, request.size - offset))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
    defer { buffer.deallocate() }
    try request.readSource(buffer, offset)
    let block = UnsafeRawBufferPointer(buffer)
    let name = BlockName(of: block)
    if let expected, name != expected {
      throw StoreError(
        .sourceChanged,
        "image \(request.name) at offset \(offset) is not what it was: block \(name) instead of \(expected)",
        hint: "back it up anew")
    }
    if keepsHoles && name == zeroName(at: offset) { return }
    try writeBlock(block, as: name, at: offset)
  }

  func zeroName(at offset: UInt64) -> BlockName {
    request.size - offset >= ImageConfig.blockSize ? zeroNames.whole : zeroNames.last
  }

  /// The hash that the image's own list has for the block; nil where there is no list.
  func expectedName(at offset: UInt64) -> BlockName? {
    request.blockHashes?.withUnsafeBytes { hashes in
      let start = Int(offset / ImageConfig.blockSize) * 32
      return BlockName(bytes: UnsafeRawBufferPointer(rebasing: hashes[start..<(start + 32)]))
    }
  }

  func rotten(at offset: UInt64) -> StoreError {
    StoreError(
      .checksumMismatch,
      "image \(request.name) is damaged at offset \(offset): that block no longer has the hash it had when the image "
        + "was made",
      hint: "nothing was backed up; restore or fetch the image again")
  }

  private func writeBlock(
    _ block: UnsafeRawBufferPointer, as name: BlockName, at offset: UInt64
  ) throws(StoreError) {
    if let expected = expectedName(at: offset), expected != name { throw rotten(at: offset) }
    if let existing { try compare(name, with: existing, at: offset) }
    if existing == nil || name != zeroName(at: offset) || existing?.block(at: offset) != nil {
      try uploader.upload(block, as: name)
    }
    table.withLock { $0.names[Int(offset / ImageConfig.blockSize)] = name }
  }

  /// A backup with the image's checksum but other blocks is one that would not restore to it.
  private func compare(_ name: BlockName, with existing: ImageConfig, at offset: UInt64) throws(StoreError) {
    if (existing.block(at: offset) ?? zeroName(at: offset)) == name { return }
    throw StoreError(
      .contentConflict,
      "\(url) holds other content at offset \(offset) than image \(request.name), or a damaged list of blocks",
      hint: "delete that backup, or back up the image under another name")
  }

  private func checkRange(_ offset: UInt64, _ length: UInt64) throws(StoreError) {
    let (end, over) = offset.addingReportingOverflow(length)
    let isWhole =
      !over && end <= request.size && offset % ImageConfig.blockSize == 0
      && (end % ImageConfig.blockSize == 0 || end == request.size)
    guard isWhole else {
      throw StoreError(
        .invalid,
        "a backup takes whole blocks of \(ImageConfig.blockSize) bytes, not \(length) bytes at offset \(offset) of \(request.size)"
      )
    }
  }

  /// Of a block of zeros, and of one as short as the last.
  static func zeroNames(size: UInt64) -> (whole: BlockName, last: BlockName) {
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(ImageConfig.blockSize), alignment: 4096)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    let rest = Int(size % ImageConfig.blockSize)
    let whole = BlockName(of: UnsafeRawBufferPointer(zeros))
    return (whole, rest == 0 ? whole : BlockName(of: UnsafeRawBufferPointer(rebasing: zeros[..<rest])))
  }
}
