import ControlAPI
import DroverModel
import Hummingbird

/// What the daemon says of itself.
enum StatusRoutes {
  static let all = [
    Route(.get, APIPath.version) { _ in
      .json(VersionInfo(version: DroverVersion.current))
    },
    Route(.get, APIPath.status) { call in
      .json(
        StatusReport(
          version: DroverVersion.current, engine: try await call.engine.status(),
          configuration: call.server.configuration))
    },
    Route(.get, APIPath.metrics) { call in
      let text = Metrics.text(try await call.engine.status(), requests: call.server.counters.all)
      return Response(
        status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
        body: .init(byteBuffer: ByteBuffer(string: text)))
    },
    Route(.get, APIPath.events, query: [APIQuery.since, APIQuery.follow]) { call in
      let follow = try call.flag(APIQuery.follow)
      let events = try await call.engine.events(since: try call.number(APIQuery.since) ?? 0, follow: follow)
      return .lines(events, call: call, follow: follow) { JSONText.line($0) }
    },
  ]
}
