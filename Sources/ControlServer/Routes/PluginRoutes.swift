import ControlAPI
import DroverModel
import Hummingbird

/// The plugin files that workers can load.
enum PluginRoutes {
  static let all = [
    Route(.get, APIPath.plugins) { .json(PluginList(try await $0.engine.plugins())) },
    Route(.get, APIPath.inspectPlugin, query: [APIQuery.path]) { call in
      guard let path = try call.value(APIQuery.path), path.hasPrefix("/") else {
        throw Fault(.invalid, "the query parameter path must be the absolute path of a plugin file")
      }
      if call.server.isReadOnly { return .json(try await listed(path, call.engine)) }
      return .json(try await call.engine.inspectPlugin(path))
    },
  ]

  /// Who may only read can't have the daemon load any file: only those that it lists anyhow.
  private static func listed(_ path: String, _ engine: any ControlledEngine) async throws -> PluginReport {
    guard let report = try await engine.plugins().first(where: { $0.path == path }) else {
      throw Fault(
        .notPermitted, "\(path.clipped) is not in a plugin folder, and this socket is for reading only",
        hint: "another file is inspected over the other socket, drover.sock")
    }
    return report
  }
}
