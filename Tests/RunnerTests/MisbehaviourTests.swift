import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Plugins that answer what the ABI does not allow.
@Suite struct MisbehaviourTests {
  private static func fault(
    _ setup: @escaping (MemorySource) -> Void = { _ in }, sink: @escaping (MemorySink) -> Void = { _ in },
    source: ((MemorySource) -> FakeDevice)? = nil
  ) -> Fault? {
    var noise = Noise(seed: 51)
    var copy = MemoryCopy(noise.bytes(8 * 4096))
    copy.sourceSetup = setup
    copy.sinkSetup = sink
    let stages = copy.stages()
    if let source {
      let open = stages[0].opening
      stages[0].opening = { source(try open($0, $1) as! MemorySource) }
    }
    return Harness().run(Harness().order(.copy), stages).fault
  }

  static let lies: [(String, @Sendable (FakeDevice) -> Void)] = [
    ("size is", { $0.size = 1 << 63 }),
    ("unknown", { $0.size = .max }),
    ("data_size", { $0.dataSize = 1 << 40 }),
    ("block_min is 0", { $0.blockMin = 0 }),
    ("block_preferred", { ($0.blockMin, $0.blockPreferred) = (4096, 5000) }),
    ("block_max", { ($0.blockMin, $0.blockMax) = (4096, 512) }),
    ("sha512", { $0.sha512 = "abc" }),
    ("sha512", { $0.sha512 = String(repeating: "x", count: 128) }),
    ("block_hash_count", { $0.blockHashes = [UInt8](repeating: 1, count: 64) }),
  ]

  @Test(arguments: 0..<9)
  func aLieInInfoIsNamed(_ index: Int) {
    let (word, lie) = Self.lies[index]
    let fault = Self.fault { lie($0) }
    #expect(fault?.code == .pluginMisbehaved)
    #expect(fault?.retry == .never)
    #expect(fault?.message.contains(word) == true)
    #expect(fault?.message.contains("fake.so") == true)
    #expect(fault?.message.contains("stage source") == true)
    #expect(fault?.message.contains("call info") == true)
  }

  @Test func aSinkThatIsNotWritableIsRefused() {
    let fault = Self.fault(sink: { $0.flags = 0 })
    #expect(fault?.code == .pluginMisbehaved)
    #expect(fault?.message.contains("WRITABLE") == true)
  }

  @Test func aSinkThatIsTooSmallIsRefused() {
    #expect(Self.fault(sink: { $0.size = 4096 })?.code == .badSize)
  }

  /// Answers extents of the test's choice, whatever is asked.
  private final class Liar: FakeDevice, @unchecked Sendable {
    // Sendable: never changes.
    let bytes: MemorySource
    let answer: @Sendable (UInt64, UInt64, UnsafeMutableBufferPointer<drover_extent>) -> Int64
    init(
      _ bytes: MemorySource,
      _ answer: @escaping @Sendable (UInt64, UInt64, UnsafeMutableBufferPointer<drover_extent>) -> Int64
    ) {
      self.bytes = bytes
      self.answer = answer
      super.init()
      size = bytes.size
    }
    override func extents(
      _ offset: UInt64, _ length: UInt64, _ room: UnsafeMutableBufferPointer<drover_extent>
    ) throws -> Int64 { answer(offset, length, room) }
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      try bytes.read(buffer, offset)
    }
  }

  static let extentLies: [@Sendable (UInt64, UInt64, UnsafeMutableBufferPointer<drover_extent>) -> Int64] = [
    { _, _, _ in 0 },
    { _, _, room in Int64(room.count) + 1 },
    { offset, length, room in  // begins late
      room[0] = drover_extent(offset: offset + 1, length: length - 1, type: 0, reserved: 0)
      return 1
    },
    { offset, length, room in  // too long
      room[0] = drover_extent(offset: offset, length: length + 1, type: 0, reserved: 0)
      return 1
    },
    { offset, length, room in  // a gap
      room[0] = drover_extent(offset: offset, length: 512, type: 1, reserved: 0)
      room[1] = drover_extent(offset: offset + 1024, length: 512, type: 1, reserved: 0)
      return 2
    },
    { offset, _, room in
      room[0] = drover_extent(offset: offset, length: 0, type: 0, reserved: 0)
      return 1
    },
    { offset, length, room in
      room[0] = drover_extent(offset: offset, length: length, type: 9, reserved: 0)
      return 1
    },
    { offset, _, room in
      room[0] = drover_extent(offset: offset, length: .max, type: 1, reserved: 0)
      return 1
    },
  ]

  @Test(arguments: 0..<8)
  func lyingExtentsAreNamed(_ index: Int) {
    let fault = Self.fault(source: { Liar($0, Self.extentLies[index]) })
    #expect(fault?.code == .pluginMisbehaved)
    #expect(fault?.message.contains("call extents") == true)
  }

  /// Answers a number of bytes of the test's choice.
  private final class Miscounter: FakeDevice, @unchecked Sendable {
    // Sendable: never changes.
    let count: @Sendable (Int) -> Int64
    init(size: UInt64, _ count: @escaping @Sendable (Int) -> Int64) {
      self.count = count
      super.init()
      self.size = size
    }
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      count(buffer.count)
    }
  }

  @Test func aReadOfTooManyOrTooFewBytesIsNamed() {
    let counts: [@Sendable (Int) -> Int64] = [{ Int64($0) + 1 }, { Int64($0) - 1 }, { _ in 0 }, { _ in .max }]
    for count in counts {
      let fault = Self.fault(source: { Miscounter(size: $0.size, count) })
      #expect(fault?.code == .pluginMisbehaved)
      #expect(fault?.message.contains("call pread") == true)
    }
  }

  @Test func aFailureWithoutWordsStillSaysWhere() {
    let fault = Self.fault(source: { Miscounter(size: $0.size) { _ in -1 } })
    #expect(fault?.code == .io)
    #expect(fault?.message.contains("stage source: pread failed") == true)
  }

  @Test func aTokenThatIsTooLongIsNamed() {
    let copy = MemoryCopy([UInt8](repeating: 1, count: 3 * 4096))
    let stages = copy.stages()
    stages[1].opening = { _, _ in
      let sink = MemorySink(copy.disk, continuing: nil)
      sink.identity = String(repeating: "x", count: 65537)
      return sink
    }
    let fault = Harness().run(Harness().order(.copy), stages, pace: Harness.eager).fault
    #expect(fault?.code == .pluginMisbehaved)
    #expect(fault?.message.contains("call checkpoint") == true)
  }

  @Test func millionsOfTinyExtentsAreWalkedInBoundedMemory() {
    // 64 MiB of one-byte extents, zero and data by turns of a whole block.
    let source = FakeStage("source") { _, _ in
      let bytes = MemorySource([])
      bytes.size = 64 << 20
      return Liar(bytes) { offset, length, room in
        var count = 0
        while count < room.count, UInt64(count) < length {
          let at = offset + UInt64(count)
          let isData = at / 65536 % 512 == 1
          room[count] = drover_extent(offset: at, length: 1, type: isData ? 0 : 1, reserved: 0)
          count += 1
        }
        return Int64(count)
      }
    }
    let disk = MemoryDisk()
    let sink = FakeStage("sink") { _, _ in
      let sink = MemorySink(disk, continuing: nil, image: false)
      sink.blockPreferred = 65536
      return sink
    }
    let harness = Harness()
    let answer = harness.run(harness.order(.copy), [source, sink])
    // The memory source is empty, so data blocks are read short, which is a fault; zeros before it were passed.
    #expect(answer.fault?.code == .pluginMisbehaved)
    #expect(disk.state.withLock { $0.zeros.first } == 0..<65536)
  }

  @Test func aTebibyteOfZerosIsPassedAtOnce() {
    let source = FakeStage("source") { _, _ in
      let bytes = MemorySource([])
      bytes.size = 1 << 40
      return Liar(bytes) { offset, length, room in
        room[0] = drover_extent(offset: offset, length: length, type: 1, reserved: 0)
        return 1
      }
    }
    let disk = MemoryDisk()
    let sink = FakeStage("sink") { _, _ in ZeroCounter(disk) }
    let start = BootClock.seconds()
    let answer = Harness().run(Harness().order(.copy), [source, sink])
    #expect(answer.result?.size == 1 << 40)
    #expect(answer.result?.bytesCopied == 0)
    #expect(disk.state.withLock { $0.zeros.reduce(0) { $0 + $1.count } } == 1 << 40)
    #expect(BootClock.seconds() - start < 20)
  }

  /// A sink that only notes what is zeroed.
  private final class ZeroCounter: FakeDevice, @unchecked Sendable {
    // Sendable: the disk has its lock.
    let disk: MemoryDisk
    init(_ disk: MemoryDisk) {
      self.disk = disk
      super.init()
      flags = DROVER_DEVICE_WRITABLE
      blockPreferred = 2 << 20
    }
    override func zero(_ offset: UInt64, _ length: UInt64) throws {
      disk.state.withLock { $0.zeros.append(offset..<(offset + length)) }
    }
  }
}
