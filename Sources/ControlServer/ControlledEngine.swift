public import DroverModel
public import Engine

/// What the routes ask of the engine. The daemon's `Engine` is one; tests bring their own.
///
/// Every call may be made from any task, several at once. Failures that a client should see are `Fault`s.
public protocol ControlledEngine: Sendable {
  func apply(_ document: JSONValue, options: ApplyOptions, by caller: Caller) async throws -> ApplyOutcome
  func resource(_ key: ResourceKey) async throws -> Resource
  /// Only those that have all of these labels.
  func resources(_ kind: ResourceKind, labels: [String: String]) async throws -> [Resource]
  func describe(_ key: ResourceKey) async throws -> Description
  /// The job that deletes what lies in a store, where there is such a thing; nil where the resource is gone already.
  func delete(_ key: ResourceKey, force: Bool, by caller: Caller) async throws -> Resource?
  /// Queues what looks after a whole store.
  func tend(target: String, _ tending: StoreTending, by caller: Caller) async throws -> Resource
  /// Protects a backup from deletion, or ends that.
  func pin(_ key: ResourceKey, _ pinned: Bool, by caller: Caller) async throws -> Resource
  func cancel(job: String, by caller: Caller) async throws -> Resource
  func retry(job: String, by caller: Caller) async throws -> Resource
  func pause(job: String, by caller: Caller) async throws -> Resource
  func resume(job: String, by caller: Caller) async throws -> Resource
  /// The lines after line `line`. With `follow` the stream ends when the job is over.
  func jobLog(_ id: String, from line: Int, follow: Bool) async throws -> AsyncThrowingStream<LogLine, any Error>
  /// What came after `since`. With `follow` the stream ends only with the engine.
  func events(since: Int64, follow: Bool) async throws -> AsyncThrowingStream<Event, any Error>
  /// `length` is the content's size in bytes where the client said it.
  func startUpload(image: String, length: Int64?, by caller: Caller) async throws -> any ContentTransfer
  func startSave(image: String, by caller: Caller) async throws -> any ContentTransfer
  /// The job that looks what is new in a target's store.
  func syncTarget(_ name: String, by caller: Caller) async throws -> Resource
  /// The job that throws away what a volume holds since a snapshot.
  func revert(volume: String, to snapshot: String, by caller: Caller) async throws -> Resource
  func inspectBackup(url: String, by caller: Caller) async throws -> [String: JSONValue]
  func plugins() async throws -> [PluginReport]
  func inspectPlugin(_ path: String) async throws -> PluginReport
  func hooks() async throws -> [HookFile]
  func testHook(_ point: PolicyPoint, _ question: HookQuestion) async throws -> HookTrial
  func status() async throws -> EngineStatus
}

/// The daemon's end of a stream of an image's bytes to or from a worker.
public protocol ContentTransfer: Sendable {
  /// A pipe or a stream socket. Whoever asked for the transfer owns it and closes it; for an upload, closing says that
  /// the content ends here.
  var descriptor: Int32 { get }
  /// The job's id.
  var job: String { get }
  /// Of the content, in bytes; known for a save.
  var size: Int64? { get }
  /// Waits until the job is over. Throws the job's error.
  func result() async throws -> Resource
  /// Says that the client went away: the job fails and leaves nothing. Without effect once it is over.
  func abort(_ reason: String) async
}
