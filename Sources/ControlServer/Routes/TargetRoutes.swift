import ControlAPI
import DroverModel
import Hummingbird

/// What can be done with a backup target beside applying, reading and deleting it.
enum TargetRoutes {
  static let all = [
    Route(.post, APIPath.sync(target: "{name}")) { call in
      .json(try await call.engine.syncTarget(call["name"], by: call.caller), status: .accepted)
    }
  ]
}
