public import DroverModel
import Planner

extension Engine {
  /// Queues the job that throws away what a volume holds since a snapshot, which is told by its name in the volume. Throws
  /// `not-found`, and `conflict` for a volume that is attached.
  public func revert(volume name: String, to snapshot: String, by caller: Caller) throws -> Resource {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let key = ResourceKey(.volume, name)
    let record = try existing(key)
    guard !record.deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    guard Volume.Status(record.status).isThere else {
      throw Fault(.conflict, "\(key) is not there yet", hint: "drover wait \(key) --for detached")
    }
    let job = newJob(.revert, owner: key, planned: try Planner(facts).revert(volume: name, to: snapshot))
    try catalog.commit([
      .putJob(job), event("asked", key, job: job.job.id, message: "revert to \(snapshot)\(caller.suffix)"),
    ])
    machines[job.job.id] = machine(job)
    changed.raise()
    wanted.raise()
    return try resource(ResourceKey(.job, job.job.id))
  }
}
