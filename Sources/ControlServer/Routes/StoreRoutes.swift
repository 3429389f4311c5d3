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
    + [true, false].map { pinned in
      Route(.post, APIPath.pin(ResourceKey(.backupBackingImage, "{name}"), pinned)) { call in
        let key = ResourceKey(.backupBackingImage, call["name"])
        return .json(try await call.engine.pin(key, pinned, by: call.caller))
      }
    }
}
