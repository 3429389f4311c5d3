import CDroverPlugin
import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Whole jobs on plugins that the runner's own loader has loaded: ours in Swift, and those in C.
@Suite(.enabled(if: BuiltProducts.path("libdrover-stage-clone.so") != nil, "this build has no plugins"))
struct LoadedJobTests {
  let folder = TemporaryFolder("loaded")
  let pattern: CompiledPlugin
  let xor: CompiledPlugin

  init() throws {
    pattern = try CompiledPlugin("pattern", .c11, .released1_0)
    xor = try CompiledPlugin("xor", .cpp20, .current)
  }

  static let size = (5 << 20) + 512
  static let content = (0..<size).map { UInt8($0 % 251) }

  func sink(_ name: String) -> Pipeline.Stage {
    Pipeline.Stage(
      "clone", .sink,
      ["folder": .string(folder("images/\(name)-0a1b2c3d")), "name": .string(name), "uuid": "0a1b2c3d"])
  }

  let source = Pipeline.Stage("pattern", .source, ["size": .string("\(size)")])
  let filter = Pipeline.Stage("xor", .filter, ["key": "255"])

  func run(_ pipeline: Pipeline) throws -> JobResult {
    let job = JobContext(interruption: Interruption()) { _ in }
    let folders = [BuiltProducts.folder, pattern.folder.path, xor.folder.path]
    let order = JobOrder(
      mode: .run, job: "job-0000000000000001", attempt: 1, pipeline: pipeline, jobFolder: folder("job"),
      pluginFolders: folders, concurrency: 4, stallSeconds: 30, hangSeconds: 600)
    var attempt = Attempt(
      order: order, secrets: [], library: PluginLibrary(folders: folders), job: job, admission: {}, hung: { _ in })
    switch attempt.run() {
    case .finished(let result): return result
    case .failed(let fault): throw fault
    default: throw Fault(.internalError, "the attempt did not end")
    }
  }

  func image(_ result: JobResult) throws -> [UInt8] {
    try Folder.readFile(try #require(result.values["path"]?.string), limit: 64 << 20)
  }

  @Test func aSourceInCBecomesAnImage() throws {
    let result = try run(Pipeline(from: [source], to: [sink("plain")]))
    #expect(try image(result) == Self.content)
    #expect(result.values["size"]?.int == Int64(Self.size) && result.values["format"]?.string == "raw")
    #expect(result.checksum == result.values["checksum"]?.string && result.checksum?.count == 128)
  }

  @Test func aFilterInCChangesWhatIsRead() throws {
    let result = try run(Pipeline(from: [source, filter], to: [sink("read")]))
    #expect(try image(result) == Self.content.map { ~$0 })
  }

  @Test func aFilterInCChangesWhatIsWritten() throws {
    let result = try run(Pipeline(from: [source], to: [filter, sink("written")]))
    #expect(try image(result) == Self.content.map { ~$0 })
    let plain = try run(Pipeline(from: [source, filter], to: [sink("read")]))
    #expect(result.checksum == plain.checksum)
  }

  @Test func anImageIsClonedWithTheChecksumThatItHas() throws {
    let first = try run(Pipeline(from: [source], to: [sink("first")]))
    let path = try #require(first.values["path"])
    let second = try run(
      Pipeline(
        from: [.init("clone", .source, ["path": path])], to: [sink("second")], expectedChecksum: first.checksum))
    #expect(try image(second) == Self.content)
    #expect(second.checksum == first.checksum)
  }

  @Test func anotherChecksumThanExpectedLeavesNothing() throws {
    let fault = try #require(throws: Fault.self) {
      _ = try run(
        Pipeline(from: [source], to: [sink("wrong")], expectedChecksum: String(repeating: "0", count: 128)))
    }
    #expect(fault.code == .checksumMismatch && fault.retry == .never)
    #expect(try Folder.list(folder("images")) == [])
  }

  @Test func aWrongParameterIsRefusedByThePluginOrBefore() throws {
    for (params, code) in [
      ([:], "invalid"), (["size": "many"], "invalid"), (["size": "512", "sise": "1"], "invalid"),
      (["size": "513"], "bad-size"),
    ] as [([String: JSONValue], String)] {
      let fault = try #require(throws: Fault.self) {
        _ = try run(Pipeline(from: [.init("pattern", .source, params)], to: [sink("bad")]))
      }
      #expect(fault.code.rawValue == code, "\(params) \(fault)")
    }
  }

  @Test func theLoaderRefusesWhatOthersCanWrite() throws {
    #expect(PluginReport(inspecting: pattern.path).stages.map(\.name) == ["pattern"])
    for (path, mode) in [(pattern.path, 0o722), (pattern.folder.path, 0o777)] as [(String, mode_t)] {
      let before = try #require(try FileStatus.of(path)).permissions
      #expect(chmod(path, mode) == 0)
      let refused = try #require(PluginReport(inspecting: pattern.path).refused)
      #expect(refused.code == .pluginRefused && refused.message.contains("can be written by others"))
      #expect(chmod(path, before) == 0)
    }
    #expect(PluginReport(inspecting: pattern.path).refused == nil)
  }
}
