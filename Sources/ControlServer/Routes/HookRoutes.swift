import ControlAPI
import DroverModel
import Engine
import Hummingbird

/// The policy scripts, and trying them.
enum HookRoutes {
  static let all = [
    Route(.get, APIPath.hooks) { .json(HookList(try await $0.engine.hooks())) },
    Route(.post, APIPath.testHook) { call in
      let body = try await call.json()
      let form = "{\"point\": \"naming\", \"input\": {…}}, or \"live\": \"backingimage/NAME\" in the place of input"
      guard let members = body.object, members.keys.allSatisfy(["point", "input", "live"].contains) else {
        throw Fault(.invalid, "the request's body must be \(form)")
      }
      guard let name = members["point"]?.string, let point = PolicyPoint(rawValue: name) else {
        let points = PolicyPoint.allCases.map(\.rawValue).joined(separator: ", ")
        throw Fault(.invalid, "the request's point must be one of \(points)")
      }
      switch (members["input"] ?? .null, members["live"] ?? .null) {
      case (.null, .string(let live)):
        return .json(try await call.engine.testHook(point, .live(try key(live))))
      case (let input, .null) where input.object != nil:
        return .json(try await call.engine.testHook(point, .input(input)))
      default: throw Fault(.invalid, "the request's body must be \(form)")
      }
    },
  ]

  private static func key(_ text: String) throws -> ResourceKey {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[1].isEmpty else {
      throw Fault(.invalid, "live must be KIND/NAME, not \(text.clipped)")
    }
    return ResourceKey(try ResourceKind(named: parts[0]), parts[1])
  }
}
