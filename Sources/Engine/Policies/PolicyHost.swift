import ChildProtocol

/// Where policy scripts run: the real one is a process, a test's plays it.
protocol PolicyHost: Sendable {
  /// Answers within the limits that the command carries, plus a moment: what a script does has no other effect.
  func answer(to command: PolicyCommand) async -> PolicyReport
}

extension PolicyCommand {
  var script: PolicyScript {
    switch self {
    case .inspect(let script, _), .ask(let script, _, _, _): script
    }
  }

  var limits: PolicyLimits {
    switch self {
    case .inspect(_, let limits), .ask(_, _, _, let limits): limits
    }
  }
}
