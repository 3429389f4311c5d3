import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Logging
import TestKit
import Testing

@testable import Engine

/// The engine with the worker program and the plugins of this build.
@Suite(.enabled(if: BuiltProducts.path("drover-worker") != nil, "drover-worker is not part of this build"))
struct RealWorkerTests {
  private let folder = TemporaryFolder("real")
  private let content = { (noise: inout Noise) in
    noise.bytes(3 << 20) + [UInt8](repeating: 0, count: 5 << 20) + noise.bytes(1536)
  }

  private func start(_ change: (inout EngineConfiguration) -> Void = { _ in }) async throws -> (
    Engine, Task<Void, any Error>
  ) {
    var configuration = EngineConfiguration(
      stateFolder: folder("state"), pluginFolders: [BuiltProducts.folder],
      workerPath: try #require(BuiltProducts.path("drover-worker")), maxJobs: 4, concurrency: 2,
      environment: ["PATH": "/usr/bin:/bin"])
    change(&configuration)
    let configured = configuration
    let engine = try await eventually("the lock is free") {
      try? await Engine(
        configuration: configured, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    return (engine, Task { try await engine.run() })
  }

  private func apply(_ engine: Engine, _ manifest: JSONValue) async throws {
    _ = try await engine.apply(manifest, options: ApplyOptions(), by: .daemon)
  }

  private func wait(_ engine: Engine, _ key: ResourceKey, _ state: String) async throws -> Resource {
    try await eventually("\(key) is \(state)", within: 60) {
      let found = try await engine.resource(key)
      if let now = found.status["state"]?.string, ["failed", "Error"].contains(now), now != state {
        throw DeadlineExceeded(
          description: "\(key) failed: \(found.status["message"]?.string ?? found.status["error"]?.string ?? "")")
      }
      return found.status["state"]?.string == state ? found : nil
    }
  }

  private func write(_ bytes: [UInt8], to descriptor: Int32) async throws {
    try await blocking {
      var done = 0
      while done < bytes.count {
        let count = bytes[done...].withUnsafeBytes { send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
        if count > 0 { done += count } else { try Self.wait(for: POLLOUT, descriptor, "send") }
      }
    }
  }

  private func usageIsLogged(_ engine: Engine, _ job: String) async throws {
    let usage = try await eventually("the worker of \(job) is reaped") {
      var lines: [LogLine] = []
      for try await line in try await engine.jobLog(job, from: 0, follow: false) { lines.append(line) }
      return lines.first { $0.message.hasPrefix("the worker used ") }?.message
    }
    let numbers = usage.split(whereSeparator: { !$0.isNumber && $0 != "." }).compactMap { Double($0) }
    try #require(numbers.count == 2)
    // No program of Swift runs in less. The peak may be that of this process, whose memory a child has until it begins.
    #expect(numbers[0] > 0 && numbers[1] >= 1, "\(usage)")
  }

  /// Until a call that would have blocked can go on.
  private static func wait(for event: Int32, _ descriptor: Int32, _ operation: String) throws {
    guard errno == EAGAIN else { throw SystemError(operation, errno: errno) }
    var waited = pollfd(fd: descriptor, events: Int16(event), revents: 0)
    guard poll(&waited, 1, 60_000) > 0 else {
      throw DeadlineExceeded(description: "\(operation): nothing for a minute")
    }
  }

  private func read(from descriptor: Int32) async throws -> [UInt8] {
    try await blocking {
      var all: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = recv(descriptor, &part, part.count, 0)
        if count == 0 { return all }
        if count > 0 { all += part[..<count] } else { try Self.wait(for: POLLIN, descriptor, "receive") }
      }
    }
  }

  @Test func uploadCloneBackUpRestoreAndSave() async throws {
    var noise = Noise(seed: 1)
    let bytes = content(&noise)
    let (engine, running) = try await start()
    try await apply(engine, EngineFixture.image("parrot", "upload", [:]))
    let upload = try await engine.beginUpload(image: "parrot", length: Int64(bytes.count), by: .daemon)
    try await write(bytes, to: upload.descriptor)
    close(upload.descriptor)
    let parrot = try await upload.result()
    #expect(parrot.status["state"] == "ready")
    #expect(parrot.status["size"]?.int == Int64(bytes.count))
    try await apply(engine, EngineFixture.clone("copy", of: "parrot"))
    try await apply(engine, EngineFixture.backup("parrot"))
    let copy = try await wait(engine, ResourceKey(.backingImage, "copy"), "ready")
    try await usageIsLogged(engine, try #require(copy.status["job"]?.string))
    #expect(copy.status["checksum"] == parrot.status["checksum"])
    let backupKey = ResourceKey(.backupBackingImage, "parrot")
    let backup = try await wait(engine, backupKey, "Completed")
    let url = try #require(backup.status["url"]?.string)
    #expect(backup.status["labels"]?["usecase"] == "test")

    let inspected = try await engine.inspectBackup(url: url, by: .daemon)
    #expect(inspected["checksum"] == parrot.status["checksum"])
    try await apply(
      engine,
      EngineFixture.manifest(
        "BackingImage", "again",
        [
          "sourceType": "restore", "sourceParameters": ["backup-url": .string(url), "concurrent-limit": "2"],
          "checksum": parrot.status["checksum"]!,
        ]))
    let again = try await wait(engine, ResourceKey(.backingImage, "again"), "ready")
    #expect(again.status["checksum"] == parrot.status["checksum"])
    let save = try await engine.beginSave(image: "again", by: .daemon)
    let saved = try await read(from: save.descriptor)
    close(save.descriptor)
    _ = try await save.result()
    #expect(saved == bytes)

    let job = try #require(try await engine.delete(backupKey, force: false, by: .daemon))
    try await eventually("the backup is gone", within: 60) {
      try await engine.resource(ResourceKey(.job, job.metadata.name)).status["state"] == "succeeded"
    }
    let store = try Folder.listIfPresent(folder("state/store/backupstore/backing-images/backing-images"))
    #expect(store ?? [] == [])
    for name in ["parrot", "copy", "again"] {
      _ = try await engine.delete(ResourceKey(.backingImage, name), force: false, by: .daemon)
    }
    try await eventually("the images are gone") {
      try await engine.resources(.backingImage).isEmpty && Folder.list(self.folder("state/images")).isEmpty
    }
    await engine.shutDown()
    try await running.value
  }

  @Test func aDownloadGoesOnInTheNextDaemon() async throws {
    var noise = Noise(seed: 2)
    let bytes = noise.bytes(24 << 20)
    let server = try TestHTTPServer()
    defer { server.stop() }
    server.serve("/parrot.raw") { request in
      var answer = ServedFile(bytes).answer(request)
      if request.headers["range"] == nil { answer.fault = (after: 16 << 20, .stall) }
      return answer
    }
    let id = try await half(of: server.url("/parrot.raw"))
    let (engine, running) = try await start()
    let image = try await wait(engine, ResourceKey(.backingImage, "parrot"), "ready")
    #expect(try await engine.resource(ResourceKey(.job, id)).status["attempt"] == 2)
    let path = try #require(image.status["path"]?.string)
    #expect(try Folder.readFile(path, limit: 1 << 30) == bytes)
    await engine.shutDown()
    try await running.value
  }

  /// Starts a download in a daemon that ends in the middle of it. Returns the job.
  private func half(of url: String) async throws -> String {
    let (engine, running) = try await start()
    try await apply(engine, EngineFixture.image("parrot", "download", ["url": .string(url)]))
    let id = try #require(try await engine.describe(ResourceKey(.backingImage, "parrot")).jobs.first?.metadata.name)
    let job = ResourceKey(.job, id)
    try await eventually("some of it is there", within: 60) {
      try await engine.resource(job).status["bytesDone"]?.int ?? 0 > 4 << 20
    }
    await engine.shutDown()
    try await running.value
    #expect(try await engine.resource(job).status["state"] == "pending")
    #expect(try engine.catalog.checkpoint(job: id)?.offset ?? 0 > 0)
    return id
  }
}
