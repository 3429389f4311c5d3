public import ChildProtocol
import CLua
import DroverModel

/// Answers what the daemon asks of policy scripts. Each answer is made in a Lua state of its own, so nothing of one
/// reaches another, and the same question has the same answer.
///
/// Blocks as long as the script runs; what the deadline can't end (a comparison of long strings, say) ends a little
/// later. Any thread may call, several at once.
public enum LuaHost {
  public static func answer(to command: PolicyCommand) -> PolicyReport {
    switch command {
    case .inspect(let script, let limits):
      return run(script, limits) { state throws(PolicyFailure) in
        .inspected(points: PolicyPoint.allCases.filter { state.handles($0) })
      }
    case .ask(let script, let point, let context, let limits):
      return run(script, limits) { state throws(PolicyFailure) in
        let answer = try state.ask(point, context)
        return .answered(answer, printed: state.printed)
      }
    }
  }

  private static func run(
    _ script: PolicyScript, _ limits: PolicyLimits, _ body: (inout LuaState) throws(PolicyFailure) -> PolicyReport
  ) -> PolicyReport {
    var state: LuaState
    do throws(PolicyFailure) { state = try LuaState.open(script.file, limits) } catch {
      return .failed(error, printed: "")
    }
    do throws(PolicyFailure) {
      try state.load(script)
      return try body(&state)
    } catch {
      return .failed(error, printed: state.printed)
    }
  }
}
