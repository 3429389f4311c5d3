import CDroverPlugin
import ChildProtocol
import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Random sizes, maps, blocks, thread models and interruptions: what comes out is always what went in.
@Suite struct RandomPipelineTests {
  private struct Draw {
    var noise: Noise
    mutating func one<T>(_ choices: [T]) -> T { choices[Int(noise.next() % UInt64(choices.count))] }
    mutating func below(_ limit: Int) -> Int { Int(noise.next() % UInt64(limit)) }
    mutating func coin() -> Bool { noise.next() & 1 == 1 }
  }

  /// Bytes with runs of zeros, and the extents that tell of them.
  private static func content(_ draw: inout Draw) -> (bytes: [UInt8], map: [drover_extent]) {
    var bytes: [UInt8] = []
    var map: [drover_extent] = []
    for _ in 0..<draw.below(12) {
      let length = 1 + draw.below(draw.one([600, 5000, 40_000]))
      let isZero = draw.coin()
      map.append(
        drover_extent(
          offset: UInt64(bytes.count), length: UInt64(length), type: isZero ? DROVER_EXTENT_ZERO : DROVER_EXTENT_DATA,
          reserved: 0))
      bytes += isZero ? [UInt8](repeating: 0, count: length) : draw.noise.bytes(length)
    }
    return (bytes, map)
  }

  @Test(arguments: 0..<150)
  func whatComesOutIsWhatWentIn(_ seed: Int) {
    var draw = Draw(noise: Noise(seed: UInt64(seed)))
    let (bytes, map) = Self.content(&draw)
    var copy = MemoryCopy(bytes)
    copy.map = map
    copy.block = draw.one([0, 512, 4096, 12288, 65536])
    copy.parallel = draw.coin()
    let isSequential = draw.below(4) == 0
    let isUnknown = isSequential && draw.coin()
    let sinkIsSequential = draw.below(4) == 0
    let limit = draw.one([UInt32(0), 1024, 65536])
    let hasFilter = draw.below(3) == 0
    copy.sourceSetup = { source in
      if isSequential { source.flags = DROVER_DEVICE_SEQUENTIAL | DROVER_DEVICE_NO_EXTENTS }
      if isUnknown { source.size = .max }
      source.blockMax = limit
      source.blockMin = limit == 0 ? 1 : 512
    }
    copy.sinkSetup = { sink in
      if sinkIsSequential, !hasFilter { sink.flags |= DROVER_DEVICE_SEQUENTIAL }
    }
    var stages = copy.stages()
    var pipeline = Pipeline.copy
    if hasFilter {
      stages.append(FakeStage("filter") { open, _ in try ShiftFilter(open) })
      pipeline.to.insert(.init("filter", .filter), at: 0)
    }
    let expected = hasFilter ? ShiftFilter.expected(bytes) : bytes

    // Interrupted now and then, and continued from the last checkpoint.
    var checkpoint: Checkpoint?
    var result: JobResult?
    for attempt in 1...20 where result == nil {
      let harness = Harness()
      let victim = attempt < 20 && draw.coin() ? 1 + draw.below(60) : Int.max
      let order = harness.order(
        pipeline, attempt: attempt, concurrency: 1 + draw.below(6), checkpoint: checkpoint)
      copy.script = .failing(victim, FakeFailure(retry: DROVER_RETRY_TRANSIENT))
      let answer = harness.run(order, copy.stages() + stages.dropFirst(2), pace: Harness.eager)
      checkpoint = harness.checkpoints.last ?? checkpoint
      result = answer.result
      #expect(answer.fault?.retry != .never, "\(answer.fault?.message ?? "")")
    }
    #expect(result?.checksum == sha512(expected))
    #expect(result?.size == Int64(expected.count))
    #expect(isSame(copy.disk.committed, expected))
    #expect(isSame(copy.disk.state.withLock { $0.blockHashes }, blockHashes(expected)))
  }
}
