import DroverModel
import Synchronization

/// The tap of a copy whose bytes can't be hashed as they pass: one thread reads the image back, from 0 on, up to the mark
/// that is safe to read, and goes on as the mark does.
final class FollowerHash: Sendable {
  /// How far the image may be read now; nil once it will not grow any more. Blocks until that is beyond `offset`.
  typealias Mark = @Sendable (_ offset: UInt64) -> UInt64?

  private let device: any BlockDevice
  private let mark: Mark
  private let job: JobContext
  private let group = ThreadGroup()
  private let answer = Mutex<Result<ImageChecksum, any Error>?>(nil)
  private let reached = Atomic<UInt64>(0)
  private let isStopped = Atomic(false)
  private let moved: @Sendable () -> Void

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
    var hasher = ImageHasher()
    let unit = max(1, UInt64(BlockHashList.block) / device.info.blockMin) * device.info.blockMin
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(unit), alignment: 4096)
    defer { buffer.deallocate() }
    while let safe = mark(hasher.position) {
      while hasher.position < safe {
        try job.interruption.check()
        if isStopped.load(ordering: .relaxed) { throw Interrupted() }
        let length = Int(min(unit, safe - hasher.position))
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
        let count = try readPieces(device, into: target, at: hasher.position, limit: device.info.blockMax)
        guard count == length else {
          throw Fault(.io, "\(device.name) ends at \(hasher.position + UInt64(count)) while its checksum is made")
        }
        hasher.add(UnsafeRawBufferPointer(target))
        reached.store(hasher.position, ordering: .relaxed)
        moved()
      }
    }
    return hasher.finish()
  }
}
