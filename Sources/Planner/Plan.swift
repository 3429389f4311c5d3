public import DroverModel

/// What to do for one object now.
public enum Plan: Sendable, Hashable {
  case job(PlannedJob)
  /// Ask again when `key` changes; `reason` is for the object's `message`.
  case waiting(for: ResourceKey, reason: String)
  /// The content of an upload comes when a client sends it.
  case awaitingContent(reason: String)
  /// A record of something that is there already.
  case nothing
}

/// A job before it has an id.
public struct PlannedJob: Sendable, Hashable {
  public var kind: Job.Kind
  public var owner: ResourceKey
  /// Must stay as they are until the job is over.
  public var reads: [ResourceKey]
  public var pipeline: Pipeline
  /// Backup target whose limit the job counts against.
  public var target: String?
  /// Members that the owner's `status` takes over when the job succeeded, beside the job's own result.
  public var inherited: [String: JSONValue]

  public init(
    kind: Job.Kind, owner: ResourceKey, reads: [ResourceKey] = [], pipeline: Pipeline, target: String? = nil,
    inherited: [String: JSONValue] = [:]
  ) {
    self.kind = kind
    self.owner = owner
    self.reads = reads
    self.pipeline = pipeline
    self.target = target
    self.inherited = inherited
  }
}
