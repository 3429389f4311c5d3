import ControlAPI
import DroverModel
import Hummingbird

/// Objects of the kinds that can be applied; and jobs, which can only be read.
enum ResourceRoutes {
  static let all =
    ResourceKind.allCases.flatMap { kind in
      let object = APIPath.object(ResourceKey(kind, "{name}"))
      return switch kind {
      case .job: reading(kind)
      default: reading(kind) + changing(kind, at: object)
      }
    } + namespaced

  /// A Secret outside the default namespace.
  private static let namespaced: [Route] = {
    let object = APIPath.object(ResourceKey(.secret, "{namespace}/{name}"))
    let collection = APIPath.collection(.secret)
    return [
      Route(.get, object, query: [APIQuery.describe]) { try await show(.secret, $0) },
      Route(.get, "\(object)/describe") { .json(try await $0.engine.describe(try key(.secret, $0))) },
    ] + changing(.secret, at: object).filter { $0.template != collection }
  }()

  /// The object that the path names.
  private static func key(_ kind: ResourceKind, _ call: Call) throws -> ResourceKey {
    guard kind == .secret else { return ResourceKey(kind, call["name"]) }
    return SecretReference(namespace: call.parameters["namespace"], name: call["name"]).key
  }

  private static func show(_ kind: ResourceKind, _ call: Call) async throws -> Response {
    let key = try key(kind, call)
    if try call.flag(APIQuery.describe) { return .json(try await call.engine.describe(key)) }
    return .json(try await call.engine.resource(key))
  }

  private static func reading(_ kind: ResourceKind) -> [Route] {
    let object = APIPath.object(ResourceKey(kind, "{name}"))
    let filters: Set = kind == .job ? [APIQuery.labels, APIQuery.owner] : [APIQuery.labels]
    return [
      Route(.get, APIPath.collection(kind), query: filters) { try .json(ResourceList(await list(kind, $0))) },
      Route(.get, object, query: [APIQuery.describe]) { try await show(kind, $0) },
      Route(.get, APIPath.describe(ResourceKey(kind, "{name}"))) { call in
        .json(try await call.engine.describe(try key(kind, call)))
      },
    ]
  }

  private static func list(_ kind: ResourceKind, _ call: Call) async throws -> [Resource] {
    let selector = try call.value(APIQuery.labels).map { try LabelSelector($0) } ?? LabelSelector()
    let owner = try call.value(APIQuery.owner)
    // What asks only for the presence of a key is left over for the selector itself.
    let items = try await call.engine.resources(kind, labels: selector.conditions.compactMapValues { $0 })
    return items.filter { item in
      selector.matches(item.metadata.labels) && (owner == nil || owner == ownerKey(item))
    }
  }

  /// `backingimage/parrot`, for a job.
  private static func ownerKey(_ job: Resource) -> String? {
    guard let kind = job.status["owner"]?["kind"]?.string, let name = job.status["owner"]?["name"]?.string else {
      return nil
    }
    return "\(kind)/\(name)"
  }

  private static func changing(_ kind: ResourceKind, at object: String) -> [Route] {
    let options: Set = [APIQuery.dryRun, APIQuery.validate]
    return [
      Route(.put, object, query: options) { try await apply($0, kind, to: try key(kind, $0)) },
      Route(.post, APIPath.collection(kind), query: options) { try await apply($0, kind, to: nil) },
      deletion(kind, at: object),
    ]
  }

  private static func deletion(_ kind: ResourceKind, at object: String) -> Route {
    Route(.delete, object, query: [APIQuery.force]) { call in
      let job = try await call.engine.delete(
        try key(kind, call), force: try call.flag(APIQuery.force), by: call.caller)
      return .json(DeleteResponse(job: job), status: job == nil ? .ok : .accepted)
    }
  }

  private static func apply(_ call: Call, _ kind: ResourceKind, to key: ResourceKey?) async throws -> Response {
    let options = ApplyOptions(dryRun: try call.flag(APIQuery.dryRun), validation: try validation(call))
    let document = try await call.json()
    try check(document, kind, key)
    let outcome = try await call.engine.apply(document, options: options, by: call.caller)
    let isNew = outcome.result == .created && !options.dryRun
    return .json(outcome, status: isNew ? .created : .ok)
  }

  private static func validation(_ call: Call) throws -> Validation {
    guard let text = try call.value(APIQuery.validate) else { return .strict }
    guard let mode = Validation(rawValue: text) else {
      let modes = Validation.allCases.map(\.rawValue).joined(separator: ", ")
      throw Fault(.invalid, "the query parameter validate is \(text.clipped); possible: \(modes)")
    }
    return mode
  }

  /// The path says the kind, and the name where it has one, a second time: they must be the same.
  private static func check(_ document: JSONValue, _ kind: ResourceKind, _ key: ResourceKey?) throws {
    guard document.object != nil else { throw Fault(.invalid, "the request's body is not a manifest: no JSON object") }
    let saidKind = document["kind"]?.string ?? ""
    guard saidKind == kind.manifestName else {
      throw Fault(
        .invalid, "the manifest's kind is \(saidKind.clipped), but the path is that of \(kind.plural)",
        hint: "it must be \(kind.manifestName)")
    }
    guard let key else { return }
    let name = document["metadata"]?["name"]?.string ?? ""
    let namespace = document["metadata"]?["namespace"]?.string
    let said = kind == .secret ? SecretReference(namespace: namespace, name: name).key.name : name
    guard said == key.name else {
      throw Fault(
        .invalid, "the manifest's name is \(said.clipped), but the path names \(key.name.clipped)",
        hint: "metadata.name and the path must be the same")
    }
  }
}
