import CDroverPlugin
import ChildProtocol
import DroverModel
import OpenSSL
import Synchronization
import TestKit

@testable import Runner

/// One attempt of one order on fake stages, with what it reported.
final class Harness: Sendable {
  let folder = TemporaryFolder("runner")
  let interruption = Interruption()
  let reports = Mutex<[WorkerReport]>([])
  let hangs = Mutex<[Fault]>([])

  static let eager = CheckpointKeeper.Pace(seconds: 0, bytes: 1)
  static let never = CheckpointKeeper.Pace(seconds: 1e9, bytes: .max, longestSeconds: 1e9)

  func order(
    _ pipeline: Pipeline, mode: JobOrder.Mode = .run, attempt: Int = 1, concurrency: Int = 4, hangSeconds: Int = 600,
    checkpoint: Checkpoint? = nil
  ) -> JobOrder {
    JobOrder(
      mode: mode, job: "job-0000000000000001", attempt: attempt, pipeline: pipeline, jobFolder: folder("job"),
      pluginFolders: [], concurrency: concurrency, stallSeconds: 30, hangSeconds: hangSeconds, checkpoint: checkpoint)
  }

  /// Blocks. `onReport` is called on the thread that reports.
  func run(
    _ order: JobOrder, _ stages: [FakeStage], pace: CheckpointKeeper.Pace = never,
    admission: (() throws -> Void)? = nil, onReport: @escaping @Sendable (WorkerReport) -> Void = { _ in }
  ) -> WorkerReport? {
    let job = JobContext(interruption: interruption) { [self] report in
      reports.withLock { $0.append(report) }
      onReport(report)
    }
    var attempt = Attempt(
      order: order, secrets: [], library: FakeLibrary(stages: stages), job: job, pace: pace,
      admission: admission ?? { [interruption] in try interruption.check() },
      hung: { [self] fault in hangs.withLock { $0.append(fault) } })
    return attempt.run()
  }

  var checkpoints: [Checkpoint] {
    reports.withLock { $0.compactMap { if case .checkpoint(let one) = $0 { one } else { nil } } }
  }
  var logs: [String] {
    reports.withLock { $0.compactMap { if case .log(_, let text) = $0 { text } else { nil } } }
  }
}

extension WorkerReport? {
  var result: JobResult? { if case .finished(let result) = self { result } else { nil } }
  var fault: Fault? { if case .failed(let fault) = self { fault } else { nil } }
  var isStopped: Bool { if case .stopped = self { true } else { false } }
}

extension Pipeline {
  static let copy = Pipeline(from: [Stage("source", .source)], to: [Stage("sink", .sink)])
}

func sha512(_ bytes: [UInt8]) -> String { hexadecimal(bytes.withUnsafeBytes { SHA512.hash($0) }) }

func blockHashes(_ bytes: [UInt8]) -> [UInt8] {
  stride(from: 0, to: bytes.count, by: 2 << 20).flatMap { begin in
    bytes[begin..<min(begin + (2 << 20), bytes.count)].withUnsafeBytes { BlockHash.hash($0) }
  }
}

/// A source and a sink over memory, as most tests want them.
struct MemoryCopy {
  var bytes: [UInt8]
  var disk = MemoryDisk()
  var map: [drover_extent]?
  var block: UInt32 = 4096
  var script = Script()
  var parallel = true
  var sourceSetup: (MemorySource) -> Void = { _ in }
  var sinkSetup: (MemorySink) -> Void = { _ in }

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func stages() -> [FakeStage] {
    let source = FakeStage("source", parallel: parallel) { [self] _, _ in
      let device = MemorySource(bytes, map: map)
      device.script = script
      sourceSetup(device)
      return device
    }
    let sink = FakeStage("sink", parallel: parallel) { [self] open, _ in
      let device = MemorySink(disk, continuing: open.token)
      device.blockPreferred = block
      device.script = script
      sinkSetup(device)
      return device
    }
    sink.discarding = { [self] _ in MemorySink.discard(disk) }
    source.script = script
    sink.script = script
    return [source, sink]
  }
}

extension drover_open {
  var token: [UInt8]? { checkpoint.map { Array(UnsafeRawBufferPointer(start: $0, count: checkpoint_length)) } }
}

/// Without printing all of both where they differ.
func isSame(_ one: [UInt8]?, _ other: [UInt8]) -> Bool { one == other }
