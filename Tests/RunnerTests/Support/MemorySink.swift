import CDroverPlugin
import Synchronization

/// What a fake sink keeps on its disk: outlives attempts.
final class MemoryDisk: Sendable {
  struct State {
    /// Of the partial file; nil where there is none.
    var identity: String?
    var bytes: [UInt8] = []
    /// As of the last flush: what a power cut leaves, at least.
    var safe: [UInt8] = []
    var committed: [UInt8]?
    var sha512: String?
    var blockHashes: [UInt8]?
    var discards = 0
    var commits = 0
    var absent: [Range<UInt64>] = []
    var writes: [Range<UInt64>] = []
    var zeros: [Range<UInt64>] = []
  }
  let state = Mutex(State())

  var committed: [UInt8]? { state.withLock { $0.committed } }
  var bytes: [UInt8] { state.withLock { $0.bytes } }

  /// The disk after a power cut right after the last flush, with noise where nothing was safe.
  func afterPowerCut(safe offset: Int, noise: UInt8) -> MemoryDisk {
    let disk = MemoryDisk()
    let old = state.withLock { $0 }
    disk.state.withLock { state in
      state.identity = old.identity
      state.bytes = old.safe
      for index in min(offset, state.bytes.count)..<state.bytes.count { state.bytes[index] ^= noise }
    }
    return disk
  }
}

/// A sink over a memory disk that works like a new image: partial until commit, continued by its identity.
final class MemorySink: FakeDevice, @unchecked Sendable {
  // Sendable: the disk has its lock; `position` is touched under it.
  let disk: MemoryDisk
  private var position: UInt64?
  var canContinue = true
  /// 0: as long as the writes make it.
  var delay: (@Sendable (UInt64) -> Void)?

  init(_ disk: MemoryDisk, continuing token: [UInt8]?, image: Bool = true) {
    self.disk = disk
    super.init()
    flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_STARTS_ZERO | (image ? DROVER_DEVICE_IMAGE_FILE : 0)
    identity = disk.state.withLock { state in
      if let token, let known = state.identity, token == Array(known.utf8) { return known }
      state.identity = "partial-\(UInt64.random(in: 0 ... .max))"
      state.bytes = []
      state.safe = []
      return state.identity
    }
  }

  override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    disk.state.withLock { state in
      let begin = min(Int(offset), state.bytes.count)
      let end = min(begin + buffer.count, state.bytes.count)
      state.bytes[begin..<end].withUnsafeBytes { buffer.copyMemory(from: $0) }
    }
    return Int64(buffer.count)
  }

  override func write(_ buffer: UnsafeRawBufferPointer, _ offset: UInt64) throws {
    delay?(offset)
    try disk.state.withLock { state in
      if flags & DROVER_DEVICE_SEQUENTIAL != 0 {
        // A first seek is allowed.
        guard position == nil || offset == position else {
          throw FakeFailure(code: "internal", message: "out of order at \(offset)")
        }
      }
      guard offset % UInt64(blockMin) == 0, blockMax == 0 || buffer.count <= Int(blockMax) else {
        throw FakeFailure(code: "internal", message: "bad block at \(offset), \(buffer.count) bytes")
      }
      let end = Int(offset) + buffer.count
      if state.bytes.count < end { state.bytes += [UInt8](repeating: 0, count: end - state.bytes.count) }
      state.bytes.withUnsafeMutableBytes { $0[Int(offset)..<end].copyBytes(from: buffer) }
      state.writes.append(offset..<UInt64(end))
      position = UInt64(end)
    }
  }

  override func zero(_ offset: UInt64, _ length: UInt64) throws {
    disk.state.withLock { state in
      state.zeros.append(offset..<(offset + length))
      let end = min(Int(offset + length), state.bytes.count)
      if Int(offset) < end { for index in Int(offset)..<end { state.bytes[index] = 0 } }
    }
  }

  override func flush() throws { disk.state.withLock { $0.safe = $0.bytes } }

  override func checkpoint(_ offset: UInt64) throws -> [UInt8] {
    guard canContinue, let identity else { return try super.checkpoint(offset) }
    return Array(identity.utf8)
  }

  override func commit(_ commit: drover_commit) throws {
    disk.state.withLock { state in
      let size = Int(commit.size)
      var bytes = state.bytes
      if bytes.count < size { bytes += [UInt8](repeating: 0, count: size - bytes.count) }
      state.committed = Array(bytes[..<size])
      state.sha512 = commit.sha512.map { String(cString: $0) }
      state.blockHashes = commit.block_hashes.map {
        Array(UnsafeBufferPointer(start: $0, count: Int(commit.block_hash_count) * Int(DROVER_HASH_LENGTH)))
      }
      state.commits += 1
      state.identity = nil
    }
  }

  static func discard(_ disk: MemoryDisk) {
    disk.state.withLock { state in
      state.discards += 1
      state.identity = nil
      state.bytes = []
      state.safe = []
    }
  }
}
