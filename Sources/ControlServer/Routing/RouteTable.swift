import ControlAPI
import DroverModel
import HTTPTypes

/// All routes, and which of them a request means.
struct RouteTable: Sendable {
  let routes: [Route]

  static let all = RouteTable(
    routes: StatusRoutes.all + ResourceRoutes.all + JobRoutes.all + ContentRoutes.all + BackupRoutes.all
      + VolumeRoutes.all
      + TargetRoutes.all + PluginRoutes.all + HookRoutes.all + StoreRoutes.all)

  func find(_ method: HTTPRequest.Method, _ target: RequestTarget) throws -> (Route, [String: String]) {
    try checkVersion(target.segments[0])
    let onPath = routes.compactMap { route in route.match(target.segments).map { (route, $0) } }
    guard let found = onPath.first(where: { $0.0.method == method }) else {
      guard onPath.isEmpty else {
        let allowed = onPath.map(\.0.method.rawValue).sorted().joined(separator: ", ")
        throw RequestRefusal(
          .methodNotAllowed,
          Fault(
            .invalid, "\(method.rawValue) is not possible on \(onPath[0].0.template)", hint: "possible: \(allowed)"),
          headers: [.allow: allowed])
      }
      throw try unknownPath(target)
    }
    if let unknown = target.query.keys.sorted().first(where: { !found.0.query.contains($0) }) {
      let known = found.0.query.sorted().joined(separator: ", ")
      throw Fault(
        .invalid, "\(method.rawValue) \(found.0.template) takes no query parameter \(unknown.clipped)",
        hint: known.isEmpty ? nil : "it takes \(known)")
    }
    return found
  }

  private func checkVersion(_ segment: String) throws {
    guard segment.first == "v", segment.count > 1, segment.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber }),
      !APIPath.supportedVersions.contains(segment)
    else { return }
    throw Fault(
      .invalid, "this daemon does not speak version \(segment.clipped) of the control API",
      hint: "it supports \(APIPath.supportedVersions.joined(separator: ", "))")
  }

  /// A path like that of a kind says what is wrong with the kind.
  private func unknownPath(_ target: RequestTarget) throws -> any Error {
    let path = "/" + target.segments.joined(separator: "/")
    if target.segments.first == "v1", target.segments.count >= 2, !target.segments[1].isEmpty,
      !routes.contains(where: {
        $0.template.split(separator: "/").dropFirst().first.map(String.init) == target.segments[1]
      })
    {
      do throws(Fault) {
        _ = try ResourceKind(named: target.segments[1])
      } catch {
        return error.code == .unknownKind ? RequestRefusal(.notFound, error) : error
      }
    }
    return Fault(.notFound, "there is nothing at \(path.clipped)", hint: "docs/openapi.yaml lists the paths")
  }
}
