import LinuxSystem
import CDroverPlugin
import ChildProtocol
import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct PumpTests {
  static let mebi = 1 << 20

  @Test(arguments: [0, 1, 512, 4095, 4096, 4097, 65536 + 512, 300_000])
  func copiesEverySize(_ size: Int) {
    var noise = Noise(seed: UInt64(size))
    let copy = MemoryCopy(noise.bytes(size))
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.result?.size == Int64(size))
    #expect(answer.result?.checksum == sha512(copy.bytes))
    #expect(answer.result?.bytesCopied == Int64(size))
    #expect(isSame(copy.disk.committed, copy.bytes))
    #expect(isSame(copy.disk.state.withLock { $0.blockHashes }, (size == 0 ? [] : blockHashes(copy.bytes))))
  }

  @Test(arguments: [2 * mebi - 512, 2 * mebi, 2 * mebi + 512, 6 * mebi + 512])
  func copiesAroundTheHashBlock(_ size: Int) {
    var noise = Noise(seed: UInt64(size))
    var copy = MemoryCopy(noise.bytes(size))
    copy.block = 2 << 20
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.result?.checksum == sha512(copy.bytes))
    #expect(isSame(copy.disk.committed, copy.bytes))
    #expect(isSame(copy.disk.state.withLock { $0.blockHashes }, blockHashes(copy.bytes)))
  }

  @Test func blocksThatCompleteOutOfOrderGiveTheSameHash() {
    var noise = Noise(seed: 1)
    var copy = MemoryCopy(noise.bytes(40 * 4096))
    // The earlier of two neighbouring claims waits for the later one.
    let claim: UInt64 = 4 * 4096
    let written = Monitor(Set<UInt64>())
    copy.sinkSetup = { sink in
      sink.delay = { offset in
        if offset / claim % 2 == 0 {
          _ = written.wait(atMost: 30) { $0.contains(offset + claim) ? true : nil }
        }
        written.change { _ = $0.insert(offset) }
      }
    }
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.result?.checksum == sha512(copy.bytes))
    #expect(isSame(copy.disk.committed, copy.bytes))
    let order = copy.disk.state.withLock { $0.writes.map(\.lowerBound) }
    #expect(order != order.sorted())
  }

  @Test func aSequentialSourceOfUnknownSizeIsReadInOrderToItsEnd() {
    for size in [0, 100, 4096, 10 * 4096, 10 * 4096 + 100] {
      var noise = Noise(seed: 2)
      var copy = MemoryCopy(noise.bytes(size))
      copy.sourceSetup = {
        $0.size = .max
        $0.flags = DROVER_DEVICE_SEQUENTIAL | DROVER_DEVICE_NO_EXTENTS
      }
      copy.script = Script { _, call in if call == "extents" { throw FakeFailure(message: "nobody may ask") } }
      let answer = Harness().run(Harness().order(.copy), copy.stages())
      #expect(answer.result?.size == Int64(size))
      #expect(answer.result?.checksum == sha512(copy.bytes))
      #expect(isSame(copy.disk.committed, copy.bytes))
    }
  }

  @Test func aSequentialSinkGetsEverythingInOrderZerosToo() {
    var noise = Noise(seed: 3)
    let bytes = noise.bytes(5 * 4096) + [UInt8](repeating: 0, count: 9 * 4096) + noise.bytes(700)
    var copy = MemoryCopy(bytes)
    copy.map = [
      drover_extent(offset: 0, length: 5 * 4096, type: DROVER_EXTENT_DATA, reserved: 0),
      drover_extent(offset: 5 * 4096, length: 9 * 4096, type: DROVER_EXTENT_ZERO, reserved: 0),
      drover_extent(offset: 14 * 4096, length: 700, type: DROVER_EXTENT_DATA, reserved: 0),
    ]
    copy.sinkSetup = { $0.flags |= DROVER_DEVICE_SEQUENTIAL }
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.result?.checksum == sha512(bytes))
    #expect(isSame(copy.disk.committed, bytes))
    #expect(copy.disk.state.withLock { $0.zeros.isEmpty })
    #expect(copy.disk.state.withLock { $0.writes.last?.upperBound } == UInt64(bytes.count))
  }

  @Test func zeroBlocksAreFoundWhereThereAreNoExtents() {
    var noise = Noise(seed: 4)
    let bytes = noise.bytes(4096) + [UInt8](repeating: 0, count: 8192) + noise.bytes(4096)
    var copy = MemoryCopy(bytes)
    copy.sourceSetup = { $0.flags = DROVER_DEVICE_NO_EXTENTS }
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.result?.bytesCopied == 8192)
    #expect(answer.result?.checksum == sha512(bytes))
    #expect(copy.disk.state.withLock { $0.zeros.reduce(0) { $0 + $1.count } } == 8192)
    #expect(isSame(copy.disk.committed, bytes))
  }

  @Test func dataIsRoundedOutToTheSinksBlockAndAbsentIsLeftOut() {
    var noise = Noise(seed: 5)
    var copy = MemoryCopy(noise.bytes(10 * 4096 + 100))
    // 1 byte of data in block 2; blocks 4 and 5 zero; block 7 half zero, half absent; the rest absent.
    copy.map = [
      (0, 8300, DROVER_EXTENT_ABSENT), (8300, 1, DROVER_EXTENT_DATA), (8301, 8083, DROVER_EXTENT_ABSENT),
      (16384, 8192, DROVER_EXTENT_ZERO), (24576, 4096, DROVER_EXTENT_ABSENT), (28672, 2048, DROVER_EXTENT_ZERO),
      (30720, 10340, DROVER_EXTENT_ABSENT),
    ].map { drover_extent(offset: $0.0, length: $0.1, type: $0.2, reserved: 0) }
    copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_TAKES_ABSENT }
    let answer = Harness().run(Harness().order(.copy, concurrency: 1), copy.stages())
    #expect(answer.result != nil)
    let (writes, zeros) = copy.disk.state.withLock { ($0.writes, $0.zeros) }
    #expect(writes == [8192..<12288, 28672..<32768])
    #expect(zeros == [16384..<24576])
    #expect(Array(copy.disk.bytes[8192..<12288]) == Array(copy.bytes[8192..<12288]))
  }

  @Test func absentExtentsAreRefusedByASinkThatWantsAll() {
    var copy = MemoryCopy([UInt8](repeating: 1, count: 8192))
    copy.map = [drover_extent(offset: 0, length: 8192, type: DROVER_EXTENT_ABSENT, reserved: 0)]
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.fault?.code == .notSupported)
    #expect(copy.disk.state.withLock { $0.discards } == 1)
  }

  @Test func blockLimitsOfBothSidesAreKept() {
    var noise = Noise(seed: 6)
    var copy = MemoryCopy(noise.bytes(100 * 1024 + 512))
    copy.block = 12288
    copy.sinkSetup = {
      $0.blockMin = 4096
      $0.blockMax = 12288
    }
    copy.sourceSetup = {
      $0.blockMin = 512
      $0.blockMax = 1024
    }
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(isSame(copy.disk.committed, copy.bytes))
    #expect(answer.result?.checksum == sha512(copy.bytes))
  }

  @Test func aSerialStageIsNeverCalledTwiceAtOnce() {
    var noise = Noise(seed: 7)
    var copy = MemoryCopy(noise.bytes(64 * 4096))
    copy.parallel = false
    let inside = Monitor(0)
    let hasOverlapped = Mutex(false)
    copy.sinkSetup = { sink in
      sink.delay = { _ in
        inside.change { $0 += 1 }
        // Time for a second one to come in, if it could.
        let second = inside.wait(atMost: 0.002) { $0 > 1 ? true : nil }
        if second != nil { hasOverlapped.withLock { $0 = true } }
        inside.change { $0 -= 1 }
      }
    }
    let answer = Harness().run(Harness().order(.copy, concurrency: 8), copy.stages())
    #expect(answer.result?.checksum == sha512(copy.bytes))
    #expect(!hasOverlapped.withLock { $0 })
  }
}
