import DroverModel
import LinuxSystem
import Logging
import Synchronization
import TestKit
import Testing

@testable import Engine

/// An engine on a state folder of its own, with played workers and a clock that runs fast.
final class EngineFixture: Sendable {
  /// So many of the engine's seconds are one second here.
  static let speed = 50.0

  let folder: TemporaryFolder
  let workers: FakeWorkers
  let engine: Engine
  private let task = Mutex<Task<Void, any Error>?>(nil)

  /// - Parameters:
  ///   - runs: Whether `run()` is started at once.
  ///   - setBack: By how many seconds somebody has set the clock back since the start.
  init(
    _ workers: FakeWorkers = FakeWorkers(), folder: TemporaryFolder = TemporaryFolder("engine"),
    maxJobs: Int = 8, attempts: Int = 4, runs: Bool = true,
    catalog: @escaping @Sendable (String) throws -> any CatalogStore = { try Catalog(path: $0) },
    host: (any PolicyHost)? = nil,
    setBack: @escaping @Sendable () -> Double = { 0 },
    configure: (inout EngineConfiguration) -> Void = { _ in }
  ) async throws {
    self.folder = folder
    self.workers = workers
    var configuration = EngineConfiguration(
      stateFolder: folder("state"), pluginFolders: [folder("plugins")], workerPath: "/nonexistent/drover-worker",
      maxJobs: maxJobs, concurrency: 2, attempts: attempts, hangSeconds: 100_000, reserveBytes: 0,
      cancelSeconds: 20)
    configure(&configuration)
    engine = try await Engine(
      configuration: configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      environment: Self.environment(workers, catalog, host, setBack: setBack))
    if runs { run() }
  }

  static func environment(
    _ workers: any WorkerLauncher, _ catalog: @escaping @Sendable (String) throws -> any CatalogStore,
    _ host: (any PolicyHost)? = nil, setBack: @escaping @Sendable () -> Double = { 0 }
  ) -> EngineEnvironment {
    let start = BootClock.seconds()
    let noise = Mutex(Noise(seed: UInt64(start * 1e6)))
    return EngineEnvironment(
      now: { 1_700_000_000 + (BootClock.seconds() - start) * speed - setBack() },
      sleep: { try await Task.sleep(for: .seconds($0 / speed)) },
      random: { noise.withLock { Double.random(in: 0..<1, using: &$0) } }, launcher: workers, openCatalog: catalog,
      policyHost: host)
  }

  func run() {
    let engine = engine
    task.withLock { $0 = Task { try await engine.run() } }
  }

  /// Ends the engine as SIGTERM does.
  func stop() async throws {
    await engine.shutDown()
    try await task.withLock { $0 }?.value
  }

  deinit { task.withLock { $0?.cancel() } }

  // MARK: Manifests

  @discardableResult
  func apply(_ manifest: JSONValue, dryRun: Bool = false) async throws -> ApplyOutcome {
    try await engine.apply(manifest, options: ApplyOptions(dryRun: dryRun), by: Caller(uid: 1000, gid: 1000, pid: 7))
  }

  static func image(_ name: String, _ type: String = "download", _ parameters: [String: JSONValue]? = nil) -> JSONValue
  {
    let parameters = parameters ?? ["url": .string("http://127.0.0.1/\(name).raw")]
    return manifest("BackingImage", name, ["sourceType": .string(type), "sourceParameters": .object(parameters)])
  }

  static func clone(_ name: String, of source: String) -> JSONValue {
    image(name, "clone", ["backing-image": .string(source), "encryption": "ignore"])
  }

  static func backup(_ name: String, of image: String? = nil, target: String? = nil, created: Bool = true) -> JSONValue
  {
    var spec: [String: JSONValue] = ["userCreated": .bool(created), "labels": ["usecase": "test"]]
    if let image { spec["backingImage"] = .string(image) }
    if let target { spec["backupTargetName"] = .string(target) }
    return manifest("BackupBackingImage", name, spec)
  }

  static func target(_ name: String, _ url: String) -> JSONValue {
    manifest("BackupTarget", name, ["backupTargetURL": .string(url)])
  }

  static func manifest(_ kind: String, _ name: String, _ spec: [String: JSONValue]) -> JSONValue {
    [
      "apiVersion": "longhorn.io/v1beta2", "kind": .string(kind), "metadata": ["name": .string(name)],
      "spec": .object(spec),
    ]
  }

  // MARK: Waiting

  func image(_ name: String) async throws -> Resource { try await engine.resource(ResourceKey(.backingImage, name)) }
  func backup(_ name: String) async throws -> Resource {
    try await engine.resource(ResourceKey(.backupBackingImage, name))
  }

  @discardableResult
  func image(_ name: String, is state: String) async throws -> Resource {
    try await eventually("image \(name) is \(state)") {
      let image = try await self.image(name)
      return image.status["state"]?.string == state ? image : nil
    }
  }

  @discardableResult
  func backup(_ name: String, is state: String) async throws -> Resource {
    try await eventually("backup \(name) is \(state)") {
      let backup = try await self.backup(name)
      return backup.status["state"]?.string == state ? backup : nil
    }
  }

  /// The object's newest job.
  func job(of key: ResourceKey) async throws -> Resource {
    let jobs = try await engine.describe(key).jobs
    return try #require(jobs.first, "\(key) has no job")
  }

  func job(ofImage name: String) async throws -> Resource { try await job(of: ResourceKey(.backingImage, name)) }

  @discardableResult
  func job(_ id: String, is state: String) async throws -> Resource {
    try await eventually("\(id) is \(state)") {
      let job = try await self.engine.resource(ResourceKey(.job, id))
      return job.status["state"]?.string == state ? job : nil
    }
  }

  func isGone(_ key: ResourceKey) async throws {
    try await eventually("\(key) is gone") {
      do {
        _ = try await self.engine.resource(key)
        return false
      } catch let fault as Fault where fault.code == .notFound { return true }
    }
  }

  func fault<T: Sendable>(_ body: () async throws -> T) async -> Fault? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? Fault }
  }
}
