import CDroverPlugin
import ChildProtocol
import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct CheckpointTests {
  private static let bytes: [UInt8] = {
    var noise = Noise(seed: 21)
    return noise.bytes(9 * 4096) + [UInt8](repeating: 0, count: 3 * 4096) + noise.bytes(8 * 4096 + 512)
  }()

  /// Runs a whole copy and keeps, for each checkpoint, the disk as a power cut would leave it.
  private static func cuts(
    _ copy: MemoryCopy, _ pipeline: Pipeline = .copy, _ extra: [FakeStage] = [], header: Int = 0, concurrency: Int = 1
  ) -> [(Checkpoint, MemoryDisk)] {
    let harness = Harness()
    let kept = Mutex<[(Checkpoint, MemoryDisk)]>([])
    let answer = harness.run(
      harness.order(pipeline, concurrency: concurrency), copy.stages() + extra, pace: Harness.eager,
      onReport: { [disk = copy.disk] report in
        if case .checkpoint(let checkpoint) = report {
          let cut = disk.afterPowerCut(safe: Int(checkpoint.offset) + header, noise: 0xA5)
          kept.withLock { $0.append((checkpoint, cut)) }
        }
      })
    #expect(answer.result != nil)
    return kept.withLock { $0 }
  }

  @Test(arguments: [1, 4])
  func everyCheckpointContinuesToTheSameImage(_ concurrency: Int) {
    let whole = MemoryCopy(Self.bytes)
    let cuts = Self.cuts(whole, concurrency: concurrency)
    #expect(concurrency > 1 || cuts.count > 3)
    for (checkpoint, disk) in cuts {
      var copy = MemoryCopy(Self.bytes)
      copy.disk = disk
      let harness = Harness()
      let order = harness.order(.copy, attempt: 2, checkpoint: checkpoint)
      let answer = harness.run(order, copy.stages(), pace: Harness.eager)
      #expect(answer.result?.checksum == sha512(Self.bytes), "from \(checkpoint.offset)")
      #expect(isSame(disk.committed, Self.bytes), "from \(checkpoint.offset)")
      #expect(isSame(disk.state.withLock { $0.blockHashes }, blockHashes(Self.bytes)))
      #expect(disk.state.withLock { $0.discards } == 0)
      // Nothing below the checkpoint was copied again.
      #expect(disk.state.withLock { $0.writes.allSatisfy { $0.lowerBound >= UInt64(checkpoint.offset) } })
    }
  }

  @Test func aSequentialSourceIsContinuedToo() {
    func copy(_ disk: MemoryDisk) -> MemoryCopy {
      var copy = MemoryCopy(Self.bytes)
      copy.disk = disk
      copy.sourceSetup = {
        $0.size = .max
        $0.flags = DROVER_DEVICE_SEQUENTIAL | DROVER_DEVICE_NO_EXTENTS
      }
      return copy
    }
    for (checkpoint, disk) in Self.cuts(copy(MemoryDisk())) {
      let order = Harness().order(.copy, attempt: 2, checkpoint: checkpoint)
      let answer = Harness().run(order, copy(disk).stages())
      #expect(answer.result?.checksum == sha512(Self.bytes))
      #expect(isSame(disk.committed, Self.bytes))
    }
  }

  @Test(arguments: ["digest", "source", "sink", "tokens", "unreadable"])
  func anyDifferenceStartsOver(_ what: String) throws {
    let cuts = Self.cuts(MemoryCopy(Self.bytes))
    var (checkpoint, disk) = try #require(cuts.last)
    var copy = MemoryCopy(Self.bytes)
    switch what {
    case "digest": checkpoint.pipelineDigest = String(repeating: "0", count: 128)
    case "source": checkpoint.identities[0] = "another"
    case "sink": disk = MemoryDisk()
    case "tokens": checkpoint.tokens = ["%%%"]
    default:
      copy.sinkSetup = { [calls = Mutex(0)] sink in
        let opened = calls.withLock {
          $0 += 1
          return $0
        }
        guard opened == 1 else { return }
        sink.script = Script { _, call in if call == "pread" { throw FakeFailure(code: "not-supported") } }
      }
    }
    copy.disk = disk
    let harness = Harness()
    let answer = harness.run(harness.order(.copy, attempt: 2, checkpoint: checkpoint), copy.stages())
    #expect(answer.result?.checksum == sha512(Self.bytes))
    #expect(isSame(disk.committed, Self.bytes))
    #expect(disk.state.withLock { $0.discards } == 1)
    #expect(disk.state.withLock { $0.writes.contains { $0.lowerBound == 0 } })
    #expect(harness.logs.contains { $0.hasPrefix("starting over") })
  }

  @Test func aSourceThatChangedMixesNothing() throws {
    let (checkpoint, disk) = try #require(Self.cuts(MemoryCopy(Self.bytes)).last)
    var noise = Noise(seed: 22)
    var copy = MemoryCopy(noise.bytes(Self.bytes.count))
    copy.disk = disk
    copy.sourceSetup = { $0.identity = "newer" }
    let answer = Harness().run(Harness().order(.copy, attempt: 2, checkpoint: checkpoint), copy.stages())
    #expect(answer.result?.checksum == sha512(copy.bytes))
    #expect(isSame(disk.committed, copy.bytes))
  }

  @Test func withoutIdentityOrTokenThereIsNoCheckpoint() {
    var copy = MemoryCopy(Self.bytes)
    copy.sourceSetup = { $0.identity = nil }
    #expect(Self.cuts(copy).isEmpty)
    copy = MemoryCopy(Self.bytes)
    copy.sinkSetup = { $0.canContinue = false }
    #expect(Self.cuts(copy).isEmpty)
  }

  @Test func aSlowCopyHasCheckpointsToo() {
    for (longest, isThere) in [(0.0, true), (1e9, false)] {
      let copy = MemoryCopy(Self.bytes)
      let harness = Harness()
      let pace = CheckpointKeeper.Pace(seconds: 0, bytes: .max, longestSeconds: longest)
      #expect(harness.run(harness.order(.copy, concurrency: 1), copy.stages(), pace: pace).result != nil)
      #expect(harness.checkpoints.isEmpty != isThere)
    }
  }

  @Test func theSinkIsFlushedBeforeTheCheckpointIsTold() {
    let copy = MemoryCopy(Self.bytes)
    for (checkpoint, disk) in Self.cuts(copy) {
      let safe = disk.state.withLock { $0.bytes }
      let end = min(Int(checkpoint.offset), safe.count)
      #expect(isSame(Array(safe[..<end]), Array(Self.bytes[..<end])))
    }
  }

  @Test func aFilteredCopyContinues() {
    func filter(_ rewrites: Bool) -> FakeStage {
      FakeStage("filter") { open, _ in
        let filter = try ShiftFilter(open)
        filter.rewritesHeader = rewrites
        return filter
      }
    }
    let pipeline = Pipeline(
      from: [.init("source", .source)], to: [.init("filter", .filter), .init("sink", .sink)])
    for rewrites in [false, true] {
      let cuts = Self.cuts(MemoryCopy(Self.bytes), pipeline, [filter(rewrites)], header: ShiftFilter.header)
      let expected = ShiftFilter.expected(Self.bytes, headerByte: rewrites ? 2 : 1)
      #expect(cuts.count > 3)
      for (checkpoint, disk) in cuts {
        var copy = MemoryCopy(Self.bytes)
        copy.disk = disk
        let order = Harness().order(pipeline, attempt: 2, checkpoint: checkpoint)
        let answer = Harness().run(order, copy.stages() + [filter(rewrites)])
        #expect(answer.result?.checksum == sha512(expected))
        #expect(isSame(disk.committed, expected))
      }
    }
  }

  @Test func theDigestDoesNotDependOnTheOrderOfKeys() throws {
    let one = Pipeline(from: [.init("a", .source, ["x": 1, "y": "/z"])], to: [.init("b", .sink)])
    var two = one
    two.from[0].params = ["y": "/z", "x": 1]
    #expect(try one.digest() == two.digest())
    two.from[0].params["x"] = 2
    #expect(try one.digest() != two.digest())
    #expect(try one.digest().count == 128)
  }
}
