import ControlAPI
import DroverModel
import Hummingbird

/// What is done with whole stores, and with backups in them beside making and deleting.
enum StoreRoutes {
  static let all =
    [Job.Kind.verify, .gc].map { kind in
      Route(.post, APIPath.tend(kind, target: "{name}")) { call in
        guard let request = try await call.json().object else {
          throw Fault(.invalid, "the request's body must be a JSON object")
        }
        let tending = try StoreTending(kind, request: request)
        return .json(try await call.engine.tend(target: call["name"], tending, by: call.caller), status: .accepted)
      }
    }
    + [ResourceKind.backupBackingImage, .backup].flatMap { kind in
      [true, false].map { pinned in
        Route(.post, APIPath.pin(ResourceKey(kind, "{name}"), pinned)) { call in
          .json(try await call.engine.pin(ResourceKey(kind, call["name"]), pinned, by: call.caller))
        }
      }
    }
}
