import Compression
import Synchronization

/// A volume's backup while it is made: takes the blocks that the volume holds itself, in any order from many threads, and
/// turns them, with those of the backup that it builds upon, into a complete backup in one step. What no block covers is
/// the backing image's, or reads as zero. Source: longhorn-format, 7.4 and 8, and the store's safety rules.
///
/// While it is open it holds a lock for use on the volume, and a stub is in the backup's place. A block counts as there
/// only if it was listed or written under that lock. An attempt that follows one that died begins anew, but writes no
/// block that is there already.
public final class VolumeBackup: Sendable {
  let session: StoreSession
  public let request: VolumeBackupRequest
  let url: VolumeBackupURL
  private let pending: PendingLock
  let lock: StoreLock
  private let journal: LockJournal
  let uploader: BlockUploader
  /// What the store's volume says, which wins.
  let method: CompressionMethod
  /// Seconds since 1970 when it was begun.
  let begunAt: String
  let base: VolumeBackupConfig?
  /// Complete already: an earlier attempt died right behind its last step but one.
  let existing: VolumeBackupConfig?
  private let zeroName: BlockName
  /// By index of the block; nil is what lies below.
  private let table: Mutex<[BlockName?]>
  private let isDone = Atomic(false)

  struct Opened {
    var method: CompressionMethod
    var base: VolumeBackupConfig?
    var existing: VolumeBackupConfig?
    var present: Set<BlockName>
    var begunAt: String
  }

  init(
    _ request: VolumeBackupRequest, at target: StoreURL, _ session: StoreSession, _ pending: PendingLock,
    _ lock: StoreLock, _ opened: Opened
  ) {
    self.session = session
    self.request = request
    self.pending = pending
    self.lock = lock
    url = VolumeBackupURL(target: target, volume: request.volume, backup: request.name)
    journal = Self.journal(request.jobFolder)
    method = opened.method
    base = opened.base
    existing = opened.existing
    begunAt = opened.begunAt
    uploader = BlockUploader(
      session.store, opened.method, pool: .volume(request.volume), blockSize: request.blockSize,
      present: opened.present, rewriting: request.rewrites)
    zeroName = Self.zeroName(request.blockSize)
    table = Mutex(Array(repeating: nil, count: Int(request.size / request.blockSize)))
  }

  static func journal(_ jobFolder: String) -> LockJournal {
    LockJournal(path: "\(jobFolder)/backup.locks", keepsReleased: true)
  }

  /// Bytes of the volume.
  public var size: UInt64 { request.size }
  public var blockSize: UInt64 { request.blockSize }

  /// Takes whole blocks: `offset` and length are multiples of the block size.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StoreError) {
    try checkRange(offset, UInt64(bytes.count))
    guard existing == nil else { return }
    let size = Int(request.blockSize)
    for (index, name) in BlockName.names(of: bytes, block: size).enumerated() {
      let block = UnsafeRawBufferPointer(rebasing: bytes[(index * size)..<((index + 1) * size)])
      try uploader.upload(block, as: name)
      set(name, at: offset + UInt64(index * size))
    }
  }

  /// The volume says itself that there are zeros, whatever lies below: they are blocks like others.
  public func zero(offset: UInt64, length: UInt64) throws(StoreError) {
    try checkRange(offset, length)
    guard existing == nil, length > 0 else { return }
    if !uploader.isPresent(zeroName) {
      let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(request.blockSize), alignment: 4096)
      defer { zeros.deallocate() }
      zeros.initializeMemory(as: UInt8.self, repeating: 0)
      try uploader.upload(UnsafeRawBufferPointer(zeros), as: zeroName)
    }
    let indices = Int(offset / request.blockSize)..<Int((offset + length) / request.blockSize)
    table.withLock { table in
      for index in indices { table[index] = zeroName }
    }
  }

  /// When it returns, what had been written before it was called is durable.
  public func flush() throws(StoreError) { try session.store.sync(deadline: .usual) }

  /// Releases the lock. Without a commit the stub stays; nobody's lock stands behind it any more.
  public func close() {
    pending.close()
    if isDone.load(ordering: .relaxed) { journal.remove() }
  }

  func done() { isDone.store(true, ordering: .relaxed) }

  /// The blocks that were given, ascending by offset.
  func entries() -> [BlockEntry] {
    table.withLock { table in
      table.enumerated().compactMap { index, name in
        name.map { BlockEntry(offset: UInt64(index) * request.blockSize, name: $0) }
      }
    }
  }

  private func set(_ name: BlockName, at offset: UInt64) {
    table.withLock { $0[Int(offset / request.blockSize)] = name }
  }

  private func checkRange(_ offset: UInt64, _ length: UInt64) throws(StoreError) {
    let (end, over) = offset.addingReportingOverflow(length)
    guard !over, end <= request.size, offset % request.blockSize == 0, length % request.blockSize == 0 else {
      throw StoreError(
        .invalid,
        "a volume's backup takes whole blocks of \(request.blockSize) bytes, not \(length) bytes at offset \(offset) of "
          + "\(request.size)")
    }
  }

  private static func zeroName(_ blockSize: UInt64) -> BlockName {
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(blockSize), alignment: 4096)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    return BlockName(of: UnsafeRawBufferPointer(zeros))
  }
}
