import Backupstore
import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

@testable import BackupStage
@testable import RestoreStage

/// The stages as the runner uses them.
@Suite struct StageTests {
  final class TestHost: StageKit.Host {
    private let state = Mutex<[(kind: String, json: String)]>([])
    var records: [(kind: String, json: String)] { state.withLock { $0 } }
    var isCancelled: Bool { false }
    func log(_ level: LogLevel, _ message: String) {}
    func emit(_ kind: String, json: String) { state.withLock { $0.append((kind, json)) } }
    func phase(_ phase: String, detail: String?) {}
    func progress(done: UInt64, total: UInt64) {}

    func record(_ kind: String) throws -> [String: Any] {
      let json = try #require(records.last { $0.kind == kind }?.json)
      return try #require(JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }
  }

  /// The image as the reading side.
  final class ImageDevice: Device {
    let image: SourceImage
    init(_ image: SourceImage) { self.image = image }

    func info() -> DeviceInfo {
      DeviceInfo(size: image.size, sha512: image.checksum, blockHashes: image.blockHashes)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
      buffer.copyBytes(from: image.bytes[Int(offset)..<(Int(offset) + buffer.count)])
      return buffer.count
    }
  }

  let store = TemporaryFolder("store")
  let job = TemporaryFolder("job")
  let host = TestHost()
  static let image = SourceImage.filled([1, nil, 2, 3])

  private func json(_ object: [String: Any]) throws -> String {
    String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
  }

  private func request(
    _ role: OpenRequest.Role, _ params: [String: Any], source: (any Device)? = nil, checkpoint: [UInt8]? = nil
  ) throws -> OpenRequest {
    OpenRequest(
      role: role, writable: role == .sink, params: try json(params), job: "job", jobFolder: job.path,
      checkpoint: checkpoint, source: source)
  }

  private func sink(_ image: SourceImage = Self.image, _ more: [String: Any] = [:]) throws -> OpenRequest {
    try request(
      .sink,
      ["target": "vfs://\(store.path)", "name": "parrot", "labels": ["usecase": "test"]]
        .merging(more) { $1 }, source: ImageDevice(image))
  }

  private func backUp() throws {
    try BackupStage.$timing.withValue(.brisk) {
      let device = try BackupStage.open(try sink(), host: host)
      defer { device.close() }
      for offset in Self.image.blocks {
        try Self.image.bytes.withUnsafeBytes {
          try device.write(UnsafeRawBufferPointer(rebasing: $0[Self.image.range(offset)]), at: offset)
        }
      }
      try device.flush()
      try device.commit(Commit(size: Self.image.size, sha512: Self.image.checksum))
    }
  }

  private var url: String { "file://\(store.path)?backingImage=parrot" }

  @Test func aBackupIsReportedAndRestored() throws {
    try backUp()
    let result = try host.record("result")
    #expect(
      Set(result.keys) == [
        "url", "backupName", "size", "blockCount", "labels", "compressionMethod", "backupCreatedAt",
        "newlyUploadedDataSize", "checksum", "secret", "secretNamespace",
      ])
    #expect(result["url"] as? String == url)
    #expect(result["size"] as? UInt64 == Self.image.size)
    #expect(result["blockCount"] as? Int == 3)
    #expect(result["compressionMethod"] as? String == "lz4")
    #expect(result["labels"] as? [String: String] == ["usecase": "test"])
    #expect(result["checksum"] as? String == Self.image.checksum)

    let plan = try #require(try RestoreStage.plan(request(.source, ["url": url]), below: nil, host: host))
    #expect(plan.size == Self.image.size)
    #expect(plan.dataSize == 2 * ImageConfig.blockSize + 512)
    try RestoreStage.$timing.withValue(.brisk) {
      let device = try RestoreStage.open(try request(.source, ["url": url]), host: host)
      let info = try device.info()
      #expect(info.size == Self.image.size)
      #expect(info.sha512 == Self.image.checksum)
      #expect(info.identity != nil)
      #expect(info.blockPreferred == 2 << 20)
      let extents = try device.extents(offset: 0, length: Self.image.size)
      #expect(extents.map(\.kind) == [.data, .zero, .data])
      var bytes = [UInt8](repeating: 7, count: Int(Self.image.size))
      let count = try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 0) }
      #expect(count == bytes.count)
      #expect(same(bytes, Self.image.bytes))
      #expect(
        try Folder.listIfPresent(store("backupstore/volumes/22/fc/BACKINGIMAGE/locks"))?.count == 1, "it is locked")
      device.close()
    }
    #expect(try Folder.listIfPresent(store("backupstore/volumes")) == nil)
    let source = try host.record("source")
    #expect(source["checksum"] as? String == Self.image.checksum)
  }

  @Test func theSinkDescribesItself() throws {
    try BackupStage.$timing.withValue(.brisk) {
      let device = try BackupStage.open(try sink(), host: host)
      let info = try device.info()
      #expect(info.blockMin == 2 << 20 && info.blockPreferred == 2 << 20 && info.blockMax == 0)
      #expect(info.flags == [.writable, .startsZero, .checksHashes])
      #expect(info.size == Self.image.size)
      device.close()
      try BackupStage.discard(try sink(), host: host)
    }
    let left = try Folder.listIfPresent(store("backupstore"))
    #expect(left == nil || left == [])
  }

  @Test func thePlanHasNoEffect() throws {
    let below = Plan(size: Self.image.size, dataSize: 500)
    let request = try sink(Self.image, ["target": "file://\(store("a/b"))", "create": true])
    let plan = try #require(try BackupStage.plan(request, below: below, host: host))
    #expect(plan.size == Self.image.size)
    #expect(plan.space == 500)
    #expect(plan.spacePath == store.path)
    #expect(plan.lock?.contains(store("a/b")) == true)
    #expect(try Folder.list(store.path) == [])
  }

  /// What a dry run must tell.
  @Test func thePlanRefusesWhatOpeningWould() throws {
    func plan(_ size: UInt64, _ more: [String: Any] = [:]) throws -> Plan? {
      try BackupStage.plan(sink(Self.image, more), below: Plan(size: size, dataSize: 500), host: host)
    }
    let size = Self.image.size
    #expect(storeError { _ = try plan(size, ["target": "file://\(store("none"))"]) }?.code == .targetUnreachable)
    #expect(storeError { _ = try plan(size + 1) }?.code == .badSize)
    #expect(storeError { _ = try plan(size, ["name": "../x"]) }?.code == .invalid)
    #expect(try plan(size)?.space == 500)
    try backUp()
    let other = String(repeating: "0", count: 128)
    #expect(storeError { _ = try plan(size, ["checksum": other]) }?.code == .contentConflict)
    #expect(try plan(size, ["checksum": Self.image.checksum])?.space == 0)
  }

  @Test func badParametersAreNamed() throws {
    for (more, word) in [
      (["compression": "zstd"], "zstd"), (["target": "s3://b@r/"], "s3"), (["labels": ["a": 1]], "labels"),
      (["target": 5], "target"),
    ] as [([String: Any], String)] {
      let error = #expect(throws: (any Error).self) { try BackupStage.open(try sink(Self.image, more), host: host) }
      let stage = (error as? StageError) ?? (error as? any StageErrorConvertible)?.stageError
      #expect(stage?.message.contains(word) == true)
      #expect(stage?.retry == .never)
    }
  }

  @Test func aBackupIsInspectedAndDeleted() throws {
    try backUp()
    try InspectBackupTask.run(try request(.task, ["url": url]), host: host)
    let record = try host.record("result")
    #expect(
      Set(record.keys) == [
        "url", "backingImage", "checksum", "size", "labels", "compressionMethod", "secret", "secretNamespace",
        "backupCreatedAt", "state",
      ])
    #expect(record["backingImage"] as? String == "parrot")
    #expect(record["state"] as? String == "Completed")
    try BackupStage.$timing.withValue(.brisk) {
      try DeleteBackupTask.run(try request(.task, ["url": url]), host: host)
    }
    let deletion = try host.record("result")
    #expect(deletion["existed"] as? Bool == true)
    #expect(deletion["removedBlocks"] as? Int == 3)
    #expect(deletion["kept"] == nil)
    let error = storeError { try InspectBackupTask.run(try request(.task, ["url": url]), host: host) }
    #expect(error?.code == .notFound)
  }

  @Test func probing() throws {
    func probe(_ params: [String: Any]) throws -> [String: Any] {
      try ProbeTargetTask.run(try request(.task, params), host: host)
      return try host.record("result")
    }
    #expect(try probe(["target": "file://\(store.path)"])["available"] as? Bool == true)
    #expect(try Folder.list(store.path) == [], "probing writes nothing")
    let absent = try probe(["target": "file://\(store("none"))"])
    #expect(absent["available"] as? Bool == false)
    #expect(absent["code"] as? String == "target-unreachable")
    #expect((absent["reason"] as? String)?.contains(store("none")) == true)
    #expect(try probe(["target": "file://\(store("none"))", "create": true])["available"] as? Bool == true)
    #expect(try FileStatus.of(store("none"))?.isFolder == true)
  }
}
