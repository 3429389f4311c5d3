import ChildProtocol
import DroverModel
import LuaHost
import Synchronization

@testable import Engine

/// Runs scripts in this process, and notes what was asked.
final class CountingPolicyHost: PolicyHost {
  private let state = Mutex((questions: [PolicyCommand](), failure: PolicyFailure?.none))

  func answer(to command: PolicyCommand) async -> PolicyReport {
    let failure = state.withLock { state in
      state.questions.append(command)
      return state.failure
    }
    if let failure { return .failed(failure, printed: "") }
    return LuaHost.answer(to: command)
  }

  /// Every question fails; nil: none does.
  func fail(_ failure: PolicyFailure?) { state.withLock { $0.failure = failure } }

  /// The contexts that scripts were given for a point.
  func contexts(_ point: PolicyPoint) -> [JSONValue] {
    state.withLock { $0.questions }.compactMap {
      if case .ask(_, point, let context, _) = $0 { context } else { nil }
    }
  }
}
