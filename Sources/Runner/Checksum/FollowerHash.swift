import DroverModel
import LinuxSystem
import Synchronization

/// The tap of a copy whose bytes can't be hashed as they pass: one thread reads the image back, from 0 on, up to the mark
/// that is safe to read, and hashes its blocks; another one hashes the whole behind it. They go on as the mark does.
final class FollowerHash: Sendable {
  /// How far the image may be read now; nil once it will not grow any more. Blocks until that is beyond `offset`.
  typealias Mark = @Sendable (_ offset: UInt64) -> UInt64?

  private let device: any BlockDevice
  private let mark: Mark
  private let job: JobContext
  private let group = ThreadGroup()
  private let pieces = Monitor(Pieces())
  private let answer = Mutex<Result<ImageChecksum, any Error>?>(nil)
  private let reached = Atomic<UInt64>(0)
  private let isStopped = Atomic(false)
  private let moved: @Sendable () -> Void

  /// What goes between the two threads.
  private struct Pieces {
    /// Buffers that the reader may fill.
    var free = Array(0..<FollowerHash.buffers)
    var filled: [Piece] = []
    /// How the reader ended.
    var end: Result<Void, any Error>?
  }

  private struct Piece {
    var buffer: Int
    var length: Int
    /// Of the whole blocks in it.
    var hashes: [UInt8]?
  }

  private static let buffers = 3

  /// - Parameter moved: Called now and then while there is progress.
  init(
    _ device: any BlockDevice, job: JobContext, moved: @escaping @Sendable () -> Void, mark: @escaping Mark
  ) {
    self.device = device
    self.mark = mark
    self.job = job
    self.moved = moved
  }

  /// Bytes hashed so far.
  var position: UInt64 { reached.load(ordering: .relaxed) }

  /// - Parameter failed: Called on the follower's thread, so that the copy need not go on.
  func start(failed: @escaping @Sendable (any Error) -> Void) throws {
    try group.start("hash") { [self] in
      let result = Result { try hash() }
      answer.withLock { $0 = result }
      if case .failure(let error) = result { failed(error) }
    }
  }

  /// Blocks until everything below `size` is hashed, up to which the mark must go.
  func finish(size: UInt64) throws -> ImageChecksum {
    group.join()
    guard let checksum = try answer.withLock({ $0 })?.get(), position == size else {
      throw Fault(.internalError, "hashed \(position) bytes of an image of \(size)")
    }
    return checksum
  }

  /// Ends the thread, whatever came of it, and waits for that. A mark that it waits for must have ended.
  func stop() {
    isStopped.store(true, ordering: .relaxed)
    group.join()
  }

  private func hash() throws -> ImageChecksum {
    // A few blocks at a time are hashed for the price of one.
    let unit = max(1, UInt64(BlockHashList.block) / device.info.blockMin) * device.info.blockMin
    let room = Int(4 * unit)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.buffers * room, alignment: 4096)
    defer { memory.deallocate() }
    let buffers = BufferSet(
      (0..<Self.buffers).map { UnsafeMutableRawBufferPointer(rebasing: memory[($0 * room)..<(($0 + 1) * room)]) })
    let reader = ThreadGroup()
    try reader.start("read back") { [self] in
      let end = Result { try readBack(buffers, unit: unit) }
      pieces.change { $0.end = end }
    }
    defer { reader.join() }
    var hasher = ImageHasher()
    while let piece = try nextPiece() {
      let bytes = UnsafeRawBufferPointer(rebasing: buffers.all[piece.buffer][..<piece.length])
      hasher.add(bytes, ready: piece.hashes)
      pieces.change { $0.free.append(piece.buffer) }
      reached.store(hasher.position, ordering: .relaxed)
      moved()
    }
    return hasher.finish()
  }

  /// Nil at the end; throws what ended the reading.
  private func nextPiece() throws -> Piece? {
    try pieces.wait { (pieces) throws -> Piece?? in
      if !pieces.filled.isEmpty { return pieces.filled.removeFirst() }
      guard let end = pieces.end else { return nil }
      try end.get()
      return .some(nil)
    }
  }

  private func readBack(_ buffers: BufferSet, unit: UInt64) throws {
    var position: UInt64 = 0
    while let safe = mark(position) {
      while position < safe {
        try job.interruption.check()
        if isStopped.load(ordering: .relaxed) { throw Interrupted() }
        var length = min(4 * unit, safe - position)
        // Whole blocks as long as there are any.
        if position % unit != 0 {
          length = min(length, unit - position % unit)
        } else if length > unit {
          length -= length % unit
        }
        let buffer = pieces.wait { $0.free.popLast() }
        let target = UnsafeMutableRawBufferPointer(rebasing: buffers.all[buffer][..<Int(length)])
        let count = try readPieces(device, into: target, at: position, limit: device.info.blockMax)
        guard count == target.count else {
          throw Fault(.io, "\(device.name) ends at \(position + UInt64(count)) while its checksum is made")
        }
        let hashes = BlockHashList.whole(UnsafeRawBufferPointer(target), at: position)
        position += length
        pieces.change { $0.filled.append(Piece(buffer: buffer, length: count, hashes: hashes)) }
      }
    }
  }
}

/// Buffers that go from one thread to another and back; each belongs to one of them at a time.
private struct BufferSet: @unchecked Sendable {
  let all: [UnsafeMutableRawBufferPointer]

  init(_ all: [UnsafeMutableRawBufferPointer]) { self.all = all }
}
