import CDroverPlugin
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

/// What filters write, hashed while it is written.
@Suite struct WriteWatchTests {
  private static let block = Int(DROVER_HASH_BLOCK)

  /// Bytes in memory; counts what is read, and fails where it is told to.
  private final class Disk: BlockDevice {
    struct State {
      var bytes: [UInt8] = []
      var read = 0
      var fails = false
    }
    let state = Mutex(State())
    let name = "disk"
    let info = DeviceInfo()
    let calls: DeviceCalls = [.read, .write]
    var bytesRead: Int { state.withLock { $0.read } }

    func extents(offset: UInt64, length: UInt64, into: UnsafeMutableBufferPointer<drover_extent>) throws -> Int { 0 }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
      state.withLock { state in
        let bytes = state.bytes.dropFirst(Int(offset)).prefix(buffer.count)
        buffer.copyBytes(from: bytes)
        state.read += bytes.count
        return bytes.count
      }
    }
    func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
      try state.withLock { state in
        if state.fails { throw FakeFailure() }
        let end = Int(offset) + buffer.count
        if state.bytes.count < end { state.bytes += [UInt8](repeating: 0, count: end - state.bytes.count) }
        state.bytes.replaceSubrange(Int(offset)..<end, with: buffer)
      }
    }
    func zero(offset: UInt64, length: UInt64) throws {
      try [UInt8](repeating: 0, count: Int(length)).withUnsafeBytes { try write($0, at: offset) }
    }
    func flush() throws {}
    func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? { nil }
  }

  private let disk = Disk()
  private let watch: WriteWatch
  private let follower: FollowerHash
  private let interruption = Interruption()

  init() {
    let watch = WriteWatch(disk)
    self.watch = watch
    follower = FollowerHash(watch, job: JobContext(interruption: interruption) { _ in }, moved: {}) {
      watch.mark(beyond: $0)
    }
  }

  private func start() throws {
    watch.expectHash()
    try follower.start { [watch] _ in watch.stop() }
  }

  /// What is hashed in the end, as CopyJob does it.
  private func finish(_ size: Int) throws -> ImageChecksum {
    watch.finish(size: UInt64(size))
    return try follower.finish(size: UInt64(size))
  }

  private static func checksum(_ bytes: [UInt8]) -> ImageChecksum {
    var hasher = ImageHasher()
    bytes.withUnsafeBytes { hasher.add($0) }
    return hasher.finish()
  }

  private static func noise(_ blocks: Int, and more: Int = 0) -> [UInt8] {
    var noise = Noise(seed: 7)
    return noise.bytes(blocks * block + more)
  }

  private func write(_ bytes: [UInt8], _ blocks: some Sequence<Int>) throws {
    for block in blocks {
      let start = block * Self.block
      try bytes[start..<min(start + Self.block, bytes.count)].withUnsafeBytes {
        try watch.write($0, at: UInt64(start))
      }
    }
  }

  /// More than is kept at once, from several threads: the writers wait for the hash, and little is read back.
  @Test(.timeLimit(.minutes(2))) func writersInTurn() throws {
    let bytes = Self.noise(40, and: 12_345)
    try start()
    let next = Mutex(0)
    let group = ThreadGroup()
    let failure = Mutex<(any Error)?>(nil)
    for number in 0..<3 {
      try group.start("writer-\(number)") {
        do {
          while true {
            let block = next.withLock { next in
              defer { next += 1 }
              return next
            }
            guard block <= 40 else { return }
            try write(bytes, [block])
          }
        } catch {
          failure.withLock { $0 = error }
        }
      }
    }
    group.join()
    #expect(failure.withLock { $0 } == nil)
    #expect(try finish(bytes.count) == Self.checksum(bytes))
    #expect(!watch.mustReadAgain)
    #expect(disk.bytesRead < bytes.count / 2, "\(disk.bytesRead) of \(bytes.count) bytes were read back")
  }

  /// The beginning comes last, behind more than can be kept: nobody waits for what can't come.
  @Test(.timeLimit(.minutes(2))) func theBeginningComesLast() throws {
    let bytes = Self.noise(30)
    try start()
    try write(bytes, (1..<30).reversed())
    try write(bytes, [0])
    #expect(try finish(bytes.count) == Self.checksum(bytes))
  }

  /// Holes that are never written, and pieces that are no blocks.
  @Test(.timeLimit(.minutes(2))) func gapsAndOddPieces() throws {
    var bytes = Self.noise(9, and: 512)
    for index in 3000..<(2 * Self.block + 4096) { bytes[index] = 0 }
    try start()
    func put(_ range: Range<Int>) throws {
      try bytes[range].withUnsafeBytes { try watch.write($0, at: UInt64(range.lowerBound)) }
    }
    try put(0..<3000)
    try watch.zero(offset: 3000, length: UInt64(Self.block))
    var at = 2 * Self.block + 4096
    while at < bytes.count {
      let end = min(at + 777_777, bytes.count)
      try put(at..<end)
      at = end
    }
    #expect(try finish(bytes.count) == Self.checksum(bytes))
  }

  /// What was kept is not what is there any more.
  @Test(.timeLimit(.minutes(2))) func whatIsWrittenAgainIsReadAgain() throws {
    var bytes = Self.noise(10)
    try start()
    try write(bytes, 0..<10)
    bytes[5 * Self.block] ^= 1
    try write(bytes, [5])
    #expect(watch.mustReadAgain)
    watch.stop()
    follower.stop()
    let size = UInt64(bytes.count)
    let again = FollowerHash(watch, job: JobContext(interruption: interruption) { _ in }, moved: {}) {
      $0 < size ? size : nil
    }
    try again.start { _ in }
    #expect(try again.finish(size: size) == Self.checksum(bytes))
  }

  @Test(.timeLimit(.minutes(2))) func aWriteThatFailsIsNotKept() throws {
    let bytes = Self.noise(20)
    try start()
    try write(bytes, 0..<4)
    // More often than there are places.
    disk.state.withLock { $0.fails = true }
    for _ in 0..<50 { #expect(throws: FakeFailure.self) { try write(bytes, [4]) } }
    disk.state.withLock { $0.fails = false }
    try write(bytes, 4..<20)
    #expect(try finish(bytes.count) == Self.checksum(bytes))
  }

  /// A hash that was given up holds no writer.
  @Test(.timeLimit(.minutes(2))) func aHashThatEndsLetsTheWritersGo() throws {
    let bytes = Self.noise(60)
    try start()
    interruption.ask(.cancel)
    try write(bytes, 0..<60)
    follower.stop()
    #expect(disk.state.withLock { $0.bytes } == bytes)
  }
}
