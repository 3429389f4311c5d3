import ControlAPI
import DroverModel
import Hummingbird

/// What can be done with a job beside reading it.
enum JobRoutes {
  static let all =
    [
      Route(.get, APIPath.log(job: "{name}"), query: [APIQuery.since, APIQuery.follow, APIQuery.format]) { call in
        let format = try call.value(APIQuery.format) ?? "json"
        guard format == "json" || format == "text" else {
          throw Fault(.invalid, "the query parameter format is \(format.clipped); possible: json, text")
        }
        let follow = try call.flag(APIQuery.follow)
        let since = Int(clamping: try call.number(APIQuery.since) ?? 0)
        let lines = try await call.engine.jobLog(call["name"], from: since, follow: follow)
        return format == "json"
          ? .lines(lines, call: call, follow: follow) { JSONText.line($0) }
          : .lines(lines, call: call, follow: follow, type: "text/plain; charset=utf-8") { text($0) }
      }
    ]
    + JobAction.allCases.map { action in
      Route(.post, APIPath.action(action, job: "{name}")) { call in
        .json(try await perform(action, call), status: .accepted)
      }
    }

  private static func perform(_ action: JobAction, _ call: Call) async throws -> Resource {
    switch action {
    case .cancel: try await call.engine.cancel(job: call["name"], by: call.caller)
    case .retry: try await call.engine.retry(job: call["name"], by: call.caller)
    case .pause: try await call.engine.pause(job: call["name"], by: call.caller)
    case .resume: try await call.engine.resume(job: call["name"], by: call.caller)
    }
  }

  private static func text(_ line: LogLine) -> ByteBuffer {
    ByteBuffer(string: "\(line.time) \(line.level.rawValue) [\(line.attempt)] \(line.message)\n")
  }
}
