/// One object and what there is to know around it: `drover describe`.
public struct Description: Sendable, Codable {
  public var object: Resource
  /// Of the object, newest first; kind `Job`.
  public var jobs: [Resource]
  /// About the object or one of its jobs, oldest first.
  public var events: [Event]
  /// What needs the object: it can't be deleted while they do.
  public var dependents: [ResourceKey]

  public init(object: Resource, jobs: [Resource] = [], events: [Event] = [], dependents: [ResourceKey] = []) {
    self.object = object
    self.jobs = jobs
    self.events = events
    self.dependents = dependents
  }
}
