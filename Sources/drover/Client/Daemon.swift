import ControlAPI
import ControlClient
import DroverModel

/// The daemon's objects and verbs, as this program asks for them. Everything throws `Fault`.
struct Daemon {
  let client: ControlClient

  func resource(_ key: ResourceKey) throws -> Resource { try client.get(APIPath.object(key)) }

  /// Nil where it is not there.
  func resourceIfPresent(_ key: ResourceKey) throws -> Resource? {
    do {
      return try resource(key)
    } catch let fault as Fault where fault.code == .notFound {
      return nil
    }
  }

  func resources(_ kind: ResourceKind, labels: String? = nil) throws -> [Resource] {
    let list: ResourceList = try client.get(
      APIPath.collection(kind), query: labels.map { [APIQuery.labels: $0] } ?? [:])
    return list.items
  }

  /// Creates or updates what the document names; the daemon makes the name where there is none.
  func apply(_ document: JSONValue, _ options: ApplyOptions) throws -> ApplyResponse {
    var query = [APIQuery.validate: options.validation.rawValue]
    if options.dryRun { query[APIQuery.dryRun] = "1" }
    let (kind, key) = try ResourceDocument.address(of: document)
    guard let key else { return try client.post(APIPath.collection(kind), query: query, body: document) }
    return try client.put(APIPath.object(key), query: query, body: document)
  }

  /// The job that removes what lies in a store, where there is one.
  func delete(_ key: ResourceKey, force: Bool) throws -> Resource? {
    let response: DeleteResponse? = try client.delete(
      APIPath.object(key), query: force ? [APIQuery.force: "1"] : [:])
    return response?.job
  }

  /// The job that looks what is new in a target.
  func sync(_ target: ResourceKey) throws -> Resource { try client.post(APIPath.sync(target: target.name)) }

  func act(_ action: JobAction, job: String) throws -> Resource {
    try client.post(APIPath.action(action, job: try ObjectReference.key(.job, job).name))
  }

  /// The job that looks after a whole store.
  func tend(_ kind: Job.Kind, target: String, _ request: [String: JSONValue]) throws -> Resource {
    try client.post(APIPath.tend(kind, target: target), body: JSONValue.object(request))
  }

  /// The job that takes a volume back to a snapshot.
  func revert(_ volume: ResourceKey, to snapshot: String) throws -> Resource {
    try client.post(APIPath.revert(volume: volume.name), body: RevertRequest(snapshot: snapshot))
  }

  func pin(_ key: ResourceKey, _ pinned: Bool) throws -> Resource { try client.post(APIPath.pin(key, pinned)) }
}
