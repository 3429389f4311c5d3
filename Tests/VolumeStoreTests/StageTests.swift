import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing
import VolumeStage
import VolumeStore

/// The plugin's stages, called as the bridge calls them.
@Suite struct VolumeStageTests {
  private final class RecordingHost: StageKit.Host {
    let records = Mutex<[(kind: String, json: String)]>([])
    func log(_ level: LogLevel, _ message: String) {}
    var isCancelled: Bool { false }
    func emit(_ kind: String, json: String) { records.withLock { $0.append((kind, json)) } }
    func phase(_ phase: String, detail: String?) {}
    func progress(done: UInt64, total: UInt64) {}
  }

  private let place = TemporaryFolder("volume-stage")
  private let host = RecordingHost()

  private func request(_ role: OpenRequest.Role, _ members: String, writable: Bool = false) -> OpenRequest {
    OpenRequest(
      role: role, writable: writable, params: #"{"folder": "\#(place("v"))", \#(members)}"#, job: "j",
      jobFolder: place.path)
  }

  private func stageCode(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return (error as? StageError)?.code ?? "\(error)" }
    return nil
  }

  @Test func aVolumeIsMadeListedAndRead() throws {
    try VolumeTask.run(request(.task, #""operation": "create", "size": 3000000, "uuid": "u""#), host: host)
    try VolumeTask.run(
      request(.task, #""operation": "snapshot", "name": "a", "labels": {"k": "v"}"#), host: host)
    let folder = VolumeFolder(place("v"))
    try writeHead(folder, [UInt8](repeating: 3, count: 4096), at: 8192)
    try VolumeTask.run(request(.task, #""operation": "snapshot", "name": "b", "user-created": false"#), host: host)
    host.records.withLock { $0 = [] }
    try VolumeTask.run(request(.task, #""operation": "list""#), host: host)
    let records = try host.records.withLock { $0 }.map { record in
      (record.kind, try JSONSerialization.jsonObject(with: Data(record.json.utf8)) as? [String: Any] ?? [:])
    }
    #expect(records.map(\.0) == ["volume", "snapshot", "snapshot"])
    #expect(records[0].1["chain"] as? [String] == ["b", "a"] && records[0].1["size"] as? Int == 4 << 20)
    #expect(records[1].1["children"] as? [String] == ["b"] && records[1].1["labels"] as? [String: String] == ["k": "v"])
    #expect(records[2].1["userCreated"] as? Bool == false && records[2].1["size"] as? Int == 4096)

    let own = request(.source, #""snapshot": "b", "since": "a", "volume-uuid": "u""#)
    #expect(try VolumeStage.plan(own, below: nil, host: host)?.dataSize == 4096)
    let device = try VolumeStage.open(own, host: host)
    let info = try device.info()
    #expect(info.size == 4 << 20 && info.dataSize == 4096 && !info.flags.contains(.writable))
    #expect(
      try device.extents(offset: 0, length: 16384) == [
        Extent(offset: 0, length: 8192, kind: .absent), Extent(offset: 8192, length: 4096, kind: .data),
        Extent(offset: 12288, length: 4096, kind: .absent),
      ])
    var bytes = [UInt8](repeating: 1, count: 4098)
    #expect(try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: 8191) } == 4098)
    #expect(bytes == [0] + [UInt8](repeating: 3, count: 4096) + [0])
    let merged = try VolumeStage.open(request(.source, #""view": "merged""#), host: host)
    #expect(try merged.extents(offset: 0, length: 8192) == [Extent(offset: 0, length: 8192, kind: .zero)])
  }

  @Test func whatCanNotBeDoneIsSaid() throws {
    #expect(stageCode { _ = try VolumeStage.open(request(.source, #""snapshot": "a""#), host: host) } == "not-found")
    #expect(stageCode { try VolumeTask.run(request(.task, #""operation": "list""#), host: host) } == "not-found")
    #expect(stageCode { try VolumeTask.run(request(.task, #""operation": "create""#), host: host) } == "invalid")
    #expect(stageCode { try VolumeTask.run(request(.task, #""operation": "melt""#), host: host) } == "invalid")
    try VolumeTask.run(request(.task, #""operation": "create", "size": 1, "uuid": "u""#), host: host)
    #expect(
      stageCode { _ = try VolumeStage.open(request(.source, #""volume-uuid": "w""#), host: host) } == "conflict")
    #expect(
      stageCode { _ = try VolumeStage.open(request(.source, #""view": "own""#, writable: true), host: host) }
        == "not-supported")
    #expect(
      stageCode { try VolumeTask.run(request(.task, #""operation": "snapshot", "name": "../a""#), host: host) }
        == "invalid")
  }
}
