import ControlAPI
import DroverModel
import Hummingbird

/// What can be done with a volume beside applying, reading and deleting it.
enum VolumeRoutes {
  static let all = [
    Route(.post, APIPath.revert(volume: "{name}")) { call in
      let body = try await call.json()
      guard let snapshot = body["snapshot"]?.string, body.object?.count == 1 else {
        throw Fault(.invalid, "the request's body must be {\"snapshot\": \"…\"}")
      }
      return .json(try await call.engine.revert(volume: call["name"], to: snapshot, by: call.caller), status: .accepted)
    }
  ]
}
