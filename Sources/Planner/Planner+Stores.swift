public import DroverModel

extension Planner {
  /// The job that tends a whole store. `verification` is what its target's status says: a sample begins where the last one
  /// ended.
  public func tending(
    _ tending: StoreTending, target name: String, _ verification: BackupTarget.Status.Verification
  ) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.backupTarget, name)
    guard let url = facts.targets[name] else { throw Fault(.notFound, "\(key) does not exist") }
    var params = tending.params
    params["target"] = .string(url.text)
    if case .verify(.sample(let share), _, _) = tending {
      let slice = verification.next(share: share)
      params["start"] = .string(NameSlice.digits(slice.start))
      params["end"] = slice.end.map { .string(NameSlice.digits($0)) }
    }
    return task(
      tending.kind == .gc ? "collect-target" : "verify-target", tending.kind, params, owner: key, target: name)
  }
}
