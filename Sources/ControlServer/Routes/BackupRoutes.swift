import ControlAPI
import DroverModel
import Hummingbird

/// Backups in a store, by their URL, whether or not there is an object for them.
enum BackupRoutes {
  static let all = [
    Route(.post, APIPath.inspectBackup) { call in
      let body = try await call.json()
      guard let url = body["url"]?.string, body.object?.count == 1 else {
        throw Fault(.invalid, "the request's body must be {\"url\": \"…\"}")
      }
      return .json(try await call.engine.inspectBackup(url: url, by: call.caller))
    }
  ]
}
