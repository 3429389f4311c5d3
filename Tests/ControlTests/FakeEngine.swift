import ControlServer
import DroverModel
import Engine
import Synchronization

/// Answers from a few values, and notes what it was asked.
final class FakeEngine: ControlledEngine {
  struct State {
    var objects: [ResourceKey: Resource] = [:]
    var calls: [String] = []
    var callers: [Caller] = []
    var failure: Fault?
    var transfer: (any ContentTransfer)?
    var plan: JobPlan?
    var deletionJob: Resource?
    var followers: [AsyncThrowingStream<Event, any Error>.Continuation] = []
    var endedFollowers = 0
  }

  private let state = Mutex(State())

  func with<T: Sendable>(_ body: (inout sending State) -> sending T) -> T { state.withLock(body) }
  var calls: [String] { state.withLock { $0.calls } }

  func add(_ kind: ResourceKind, _ name: String, labels: [String: String] = [:]) {
    let object = Resource(kind: kind.manifestName, metadata: .init(name: name, labels: labels))
    state.withLock { $0.objects[ResourceKey(kind, name)] = object }
  }

  private func note(_ call: String, _ caller: Caller? = nil) throws {
    let failure = state.withLock {
      $0.calls.append(call)
      if let caller { $0.callers.append(caller) }
      return $0.failure
    }
    if let failure { throw failure }
  }

  func apply(_ document: JSONValue, options: ApplyOptions, by caller: Caller) async throws -> ApplyOutcome {
    let name = document["metadata"]?["name"]?.string ?? "made-by-the-daemon"
    let kind = document["kind"]?.string ?? ""
    try note("apply \(kind)/\(name) \(options.dryRun ? "dry " : "")\(options.validation.rawValue)", caller)
    var key = ResourceKey(try ResourceKind(named: kind), name)
    if key.kind == .secret {
      key = SecretReference(namespace: document["metadata"]?["namespace"]?.string, name: name).key
    }
    let isNew = state.withLock { $0.objects[key] == nil }
    let object = Resource(kind: kind, metadata: .init(name: name), spec: document["spec"]?.object ?? [:])
    if !options.dryRun { state.withLock { $0.objects[key] = object } }
    return ApplyOutcome(
      result: isNew ? .created : .unchanged, object: object, warnings: ["one"], plan: state.withLock { $0.plan })
  }

  func resource(_ key: ResourceKey) async throws -> Resource {
    try note("get \(key)")
    guard let object = state.withLock({ $0.objects[key] }) else { throw Fault(.notFound, "\(key) is not there") }
    return object
  }

  func resources(_ kind: ResourceKind, labels: [String: String]) async throws -> [Resource] {
    try note("list \(kind.rawValue)")
    return state.withLock {
      $0.objects.filter { key, object in
        key.kind == kind && labels.allSatisfy { object.metadata.labels?[$0.key] == $0.value }
      }.map(\.value).sorted { $0.metadata.name < $1.metadata.name }
    }
  }

  func describe(_ key: ResourceKey) async throws -> Description {
    Description(object: try await resource(key), dependents: [ResourceKey(.backingImage, "clone-of-it")])
  }

  func delete(_ key: ResourceKey, force: Bool, by caller: Caller) async throws -> Resource? {
    try note("delete \(key)\(force ? " force" : "")", caller)
    return state.withLock {
      $0.objects[key] = nil
      return $0.deletionJob
    }
  }

  func tend(target: String, _ tending: StoreTending, by caller: Caller) async throws -> Resource {
    try note(
      "tend \(target) \(tending.kind.rawValue) \(tending.params.map { "\($0)=\($1)" }.sorted().joined(separator: ","))",
      caller)
    return Resource(kind: "Job", metadata: .init(name: "job-0123456789abcdef"))
  }

  func pin(_ key: ResourceKey, _ pinned: Bool, by caller: Caller) async throws -> Resource {
    try note("\(pinned ? "pin" : "unpin") \(key)", caller)
    return try await resource(key)
  }

  func cancel(job: String, by caller: Caller) async throws -> Resource { try await act("cancel", job, caller) }
  func retry(job: String, by caller: Caller) async throws -> Resource { try await act("retry", job, caller) }
  func pause(job: String, by caller: Caller) async throws -> Resource { try await act("pause", job, caller) }
  func resume(job: String, by caller: Caller) async throws -> Resource { try await act("resume", job, caller) }

  private func act(_ action: String, _ job: String, _ caller: Caller) async throws -> Resource {
    try note("\(action) \(job)", caller)
    return Resource(kind: "Job", metadata: .init(name: job))
  }

  func jobLog(_ id: String, from line: Int, follow: Bool) async throws -> AsyncThrowingStream<LogLine, any Error> {
    try note("log \(id) \(line) \(follow)")
    return AsyncThrowingStream { continuation in
      for number in (line + 1)..<(line + 4) {
        continuation.yield(
          LogLine(line: number, time: "2026-01-02T03:04:05Z", attempt: 1, level: .info, message: "line \(number)"))
      }
      continuation.finish()
    }
  }

  func events(since: Int64, follow: Bool) async throws -> AsyncThrowingStream<Event, any Error> {
    AsyncThrowingStream { continuation in
      for seq in (since + 1)...(since + 3) { continuation.yield(Self.event(seq)) }
      guard follow else { return continuation.finish() }
      continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.endedFollowers += 1 } }
      state.withLock { $0.followers.append(continuation) }
    }
  }

  static func event(_ seq: Int64) -> Event {
    Event(seq: seq, time: "2026-01-02T03:04:05Z", type: .created, kind: "backingimage", name: "parrot")
  }

  func startUpload(image: String, length: Int64?, by caller: Caller) async throws -> any ContentTransfer {
    try note("upload \(image) \(length.map(String.init) ?? "-")", caller)
    return state.withLock { $0.transfer! }
  }

  func startSave(image: String, by caller: Caller) async throws -> any ContentTransfer {
    try note("save \(image)", caller)
    return state.withLock { $0.transfer! }
  }

  func syncTarget(_ name: String, by caller: Caller) async throws -> Resource {
    try note("sync \(name)", caller)
    return Resource(kind: "Job", metadata: .init(name: "job-0123456789abcdef"))
  }

  func revert(volume: String, to snapshot: String, by caller: Caller) async throws -> Resource {
    try note("revert \(volume) \(snapshot)", caller)
    return Resource(kind: "Job", metadata: .init(name: "job-1"))
  }

  func inspectBackup(url: String, by caller: Caller) async throws -> [String: JSONValue] {
    try note("inspect \(url)", caller)
    return ["url": .string(url), "size": 512]
  }

  func plugins() async throws -> [PluginReport] { [PluginReport(path: "/p/a.so", name: "a")] }
  func inspectPlugin(_ path: String) async throws -> PluginReport { PluginReport(path: path) }

  func hooks() async throws -> [HookFile] {
    [HookFile(file: "naming.lua", points: ["naming"], asked: ["naming"], digest: "ab")]
  }

  func testHook(_ point: PolicyPoint, _ question: HookQuestion) async throws -> HookTrial {
    try note("test \(point.rawValue) \(question)")
    return HookTrial(decision: nil, point: point, input: [:])
  }

  func status() async throws -> EngineStatus {
    EngineStatus(
      stateFolder: "/state", startedAt: "2026-01-02T03:04:05Z",
      queue: .init(pending: 1, running: 2, paused: 3, limit: 4),
      targets: [.init(name: "a\"b", url: "file:///x", available: true)], freeBytes: 77)
  }
}
