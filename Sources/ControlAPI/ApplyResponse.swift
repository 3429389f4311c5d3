public import DroverModel

/// The answer to PUT and POST of a manifest: 201 where the object is new, else 200.
public typealias ApplyResponse = ApplyOutcome

/// The answer to DELETE: with 202 the job that removes what lies in a store, with 200 no job.
public struct DeleteResponse: Sendable, Codable {
  public var job: Resource?

  public init(job: Resource? = nil) { self.job = job }
}
