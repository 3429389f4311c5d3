import CDroverPlugin

/// The host's table as a `Host`.
struct ForeignHost: Host, @unchecked Sendable {
  // Sendable: a copy that never changes, and the header allows its functions on any thread.
  private let host: drover_host
  init(_ host: drover_host) { self.host = host }

  func log(_ level: LogLevel, _ message: String) {
    let line = message.contains(where: \.isNewline) ? String(message.map { $0.isNewline ? " " : $0 }) : message
    host.log?(host.context, level.rawValue, line)
  }

  var isCancelled: Bool { (host.cancelled?(host.context) ?? 0) != 0 }
  func emit(_ kind: String, json: String) { host.emit?(host.context, kind, json) }

  func phase(_ phase: String, detail: String?) {
    guard let detail else {
      host.phase?(host.context, phase, nil)
      return
    }
    host.phase?(host.context, phase, detail)
  }

  func progress(done: UInt64, total: UInt64) { host.progress?(host.context, done, total) }
}
