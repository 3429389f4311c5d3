import DroverModel

/// The daemon's numbers in Prometheus' text format, version 0.0.4.
enum Metrics {
  static func text(_ status: EngineStatus, requests: [(status: Int, count: Int)]) -> String {
    var text = ""
    func family(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: Int64)]) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
      for sample in samples { text += "\(name)\(sample.labels) \(sample.value)\n" }
    }
    func labels(_ name: String, _ value: String) -> String { "{\(name)=\"\(escaped(value))\"}" }

    family("drover_info", "gauge", "Always 1.", [(labels("version", DroverVersion.current), 1)])
    family(
      "drover_jobs", "gauge", "Jobs that are not over, by state.",
      [
        (labels("state", "pending"), Int64(status.queue.pending)),
        (labels("state", "running"), Int64(status.queue.running)),
        (labels("state", "paused"), Int64(status.queue.paused)),
      ])
    family("drover_jobs_limit", "gauge", "Jobs that may run at once.", [("", Int64(status.queue.limit))])
    family("drover_workers", "gauge", "Worker processes.", [("", Int64(status.workers.count))])
    family(
      "drover_target_available", "gauge", "Whether a backup target could be reached at the last look.",
      status.targets.map { (labels("target", $0.name), $0.available ? 1 : 0) })
    family("drover_state_free_bytes", "gauge", "Free where the state folder lies.", [("", status.freeBytes)])
    family("drover_state_reserved_bytes", "gauge", "Of these, promised to jobs.", [("", status.reservedBytes)])
    family(
      "drover_plugins_refused", "gauge", "Plugin files that were not loaded.",
      [("", Int64(status.plugins.count { $0.refused != nil }))])
    family(
      "drover_http_requests_total", "counter", "Requests answered since the start, by status.",
      requests.map { (labels("code", "\($0.status)"), Int64($0.count)) })
    return text
  }

  private static func escaped(_ value: String) -> String {
    value.reduce(into: "") { text, character in
      switch character {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.append(character)
      }
    }
  }
}
