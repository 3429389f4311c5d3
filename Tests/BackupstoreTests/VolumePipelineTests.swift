import CDroverPlugin
import ChildProtocol
import DroverModel
import Foundation
import StageKit
import TestKit
import Testing

@testable import BackupStage
@testable import Backupstore
@testable import RestoreStage
@testable import Runner

/// A volume's backup as a whole job: the runner's pump between a volume's layers and the store.
@Suite struct VolumePipelineTests {
  /// Stands for the stage `volume` with `view: own`: reads what the snapshot and the image below it hold, and tells which
  /// sectors are the volume's own.
  private enum LayersStage: Stage {
    static let name = "layers"
    static let summary = "layers of a volume, for a test"
    static let roles: Roles = .source
    static let parallel = true

    struct Layers: Decodable {
      /// Each the begin and the length of a range; the bytes there are all `value`.
      var data: [[UInt64]]
      var zero: [[UInt64]]
      var value: UInt8
    }

    static func open(_ request: OpenRequest, host: any StageKit.Host) throws -> any Device {
      Layered(try request.params(as: Layers.self))
    }
  }

  private final class Layered: Device {
    static let size: UInt64 = 16 << 20
    let layers: LayersStage.Layers

    init(_ layers: LayersStage.Layers) { self.layers = layers }

    func info() -> StageKit.DeviceInfo {
      StageKit.DeviceInfo(size: Self.size, blockMin: 4096, blockPreferred: 1 << 20, identity: "layers")
    }

    private func kind(_ sector: UInt64) -> StageKit.Extent.Kind {
      func has(_ ranges: [[UInt64]]) -> Bool { ranges.contains { $0[0] <= sector && sector < $0[0] + $0[1] } }
      return has(layers.data) ? .data : has(layers.zero) ? .zero : .absent
    }

    func extents(offset: UInt64, length: UInt64) -> [StageKit.Extent] {
      var extents: [StageKit.Extent] = []
      for sector in stride(from: offset / 4096 * 4096, to: offset + length, by: 4096) {
        let kind = kind(sector)
        if extents.last?.kind == kind {
          extents[extents.count - 1].length += 4096
        } else {
          extents.append(StageKit.Extent(offset: sector, length: 4096, kind: kind))
        }
      }
      return extents
    }

    /// With the image below, whatever the view.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
      for at in stride(from: 0, to: buffer.count, by: 512) {
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[at..<min(buffer.count, at + 512)])
        let sector = (offset + UInt64(at)) / 4096 * 4096
        switch kind(sector) {
        case .data: piece.initializeMemory(as: UInt8.self, repeating: layers.value)
        case .zero: piece.initializeMemory(as: UInt8.self, repeating: 0)
        case .absent: piece.initializeMemory(as: UInt8.self, repeating: VolumePipelineTests.below)
        }
      }
      return buffer.count
    }
  }

  static let below: UInt8 = 0xbb

  private struct Stages: StageLibrary {
    private static let loaded: [LoadedStage] = [
      Plugin(name: "layers", version: "1.0", stages: [LayersStage.self]),
      Plugin(name: "backup", version: "1.0", stages: [BackupStage.self]),
    ].flatMap { plugin in
      let descriptor = plugin.descriptor.pointee
      return (0..<Int(descriptor.stage_count)).map { index in
        try! LoadedStage(plugin: "\(String(cString: descriptor.name)).so", descriptor: descriptor.stages[index]!)
      }
    }

    mutating func stage(named name: String) throws -> LoadedStage {
      guard let stage = Self.loaded.first(where: { $0.name == name }) else { throw Fault(.unknownStage, name) }
      return stage
    }
  }

  private let folder = TemporaryFolder("volume-pipeline")

  private func backUp(
    _ name: String, data: [[Int64]], zero: [[Int64]] = [], value: Int64, snapshot: String,
    base: (String, String)? = nil
  ) throws -> JobResult {
    func ranges(_ ranges: [[Int64]]) -> JSONValue { .array(ranges.map { .array($0.map { .int($0) }) }) }
    var sink: [String: JSONValue] = [
      "target": .string("file://\(folder("store"))"), "create": true, "name": .string(name), "volume": "vol1",
      "snapshot": .string(snapshot), "labels": ["k": "v"],
    ]
    if let base {
      sink["base"] = .string(base.0)
      sink["baseSnapshot"] = .string(base.1)
    }
    let pipeline = Pipeline(
      from: [
        Pipeline.Stage("layers", .source, ["data": ranges(data), "zero": ranges(zero), "value": .int(value)])
      ], to: [Pipeline.Stage("backup", .sink, sink)])
    try FileManager.default.createDirectory(atPath: folder("job-\(name)"), withIntermediateDirectories: true)
    let job = JobContext(interruption: Interruption()) { _ in }
    let order = JobOrder(
      mode: .run, job: "job-1", attempt: 1, pipeline: pipeline, jobFolder: folder("job-\(name)"), pluginFolders: [],
      concurrency: 3, stallSeconds: 30, hangSeconds: 600, checkpoint: nil, secretNames: [])
    return try BackupStage.$timing.withValue(.brisk) {
      var attempt = Attempt(
        order: order, secrets: [], library: Stages(), job: job, pace: CheckpointKeeper.Pace(seconds: 0, bytes: 1),
        admission: {}, hung: { _ in })
      switch attempt.run() {
      case .finished(let result): return result
      case .failed(let fault): throw fault
      case let other: throw Fault(.internalError, "\(String(describing: other))")
      }
    }
  }

  /// The first byte of each sector that a block of the backup covers; nil for the others.
  private func restored(_ name: String) throws -> [UInt8?] {
    let target = try StoreURL("file://\(folder("store"))")
    let session = StoreSession(store: try FileStore(target), observer: RecordingObserver(), timing: .brisk)
    let restore = try VolumeRestore.open(VolumeBackupURL(target: target, volume: "vol1", backup: name), session)
    defer { restore.close() }
    let bytes = try restore.all()
    return stride(from: 0, to: Layered.size, by: 4096).map { sector in
      restore.extents(offset: sector, length: 4096)[0].isData ? bytes[Int(sector)] : nil
    }
  }

  private func sectors(_ first: Int64, _ count: Int64) -> [Int64] { [first * 4096, count * 4096] }

  /// A block that the volume has touched is stored whole, with what lies below; the others are not.
  @Test func onlyWhatTheVolumeHoldsItself() throws {
    let block: Int64 = 512
    let first = try backUp(
      "b1", data: [sectors(3, 1), sectors(5 * block, block)],
      zero: [sectors(2 * block, 2 * block), sectors(7 * block + 1, 1)], value: 1, snapshot: "s1")
    #expect(first.values["backupSize"] == .int(5 * block * 4096) && first.values["isIncremental"] == false)
    #expect(first.size == Int64(Layered.size))
    var expected = [UInt8?](repeating: nil, count: Int(8 * block))
    func fill(_ range: Range<Int64>, _ value: UInt8) {
      for sector in range { expected[Int(sector)] = value }
    }
    fill(0..<block, Self.below)
    fill(3..<4, 1)
    fill(2 * block..<4 * block, 0)
    fill(5 * block..<6 * block, 1)
    fill(7 * block..<8 * block, Self.below)
    fill(7 * block + 1..<7 * block + 2, 0)
    #expect(try restored("b1") == expected)

    let second = try backUp("b2", data: [sectors(block, 1)], value: 9, snapshot: "s2", base: ("b1", "s1"))
    #expect(second.values["isIncremental"] == true && second.values["backupSize"] == .int(6 * block * 4096))
    fill(block..<2 * block, Self.below)
    fill(block..<block + 1, 9)
    #expect(try restored("b2") == expected)

    do {
      _ = try backUp("b3", data: [], value: 0, snapshot: "s3", base: ("b1", "s1"))
      Issue.record("it built upon another one than the last")
    } catch let fault as Fault {
      #expect(fault.code == .baseUnusable && fault.retry == .transient)
    }
    // Nothing of it is left behind.
    let nothing = try backUp("b4", data: [], value: 0, snapshot: "s4")
    #expect(nothing.values["backupSize"] == 0)
    #expect(try restored("b4").allSatisfy { $0 == nil })
  }
}
