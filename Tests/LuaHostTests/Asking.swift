import ChildProtocol
import DroverModel
import LuaHost
import Testing

/// A script on its own, asked in this process.
struct Asking {
  var file = "hook.lua"
  var source: String
  var limits: PolicyLimits

  /// Ends by the count of instructions, not by the clock, unless a test says otherwise.
  init(_ source: String, instructions: Int = 1_000_000, memory: Int = 16 << 20, milliseconds: Int = 60_000) {
    self.source = source
    limits = PolicyLimits(instructions: instructions, memoryBytes: memory, deadlineMilliseconds: milliseconds)
  }

  /// `body` is that of `naming`, and sees `ctx`.
  static func naming(_ body: String, instructions: Int = 1_000_000, milliseconds: Int = 60_000) -> Asking {
    Asking(
      "return { api = 1, naming = function(ctx) \(body) end }", instructions: instructions, milliseconds: milliseconds)
  }

  /// The value of an expression, or of statements with a `return`.
  static func value(_ code: String) throws -> JSONValue {
    let isExpression = !code.hasPrefix("local ") && !code.hasPrefix("return ")
    let answer = try Asking.naming(isExpression ? "return { value = (\(code)) }" : code).answer()
    return isExpression ? answer["value"] ?? .null : answer
  }

  func report(_ context: JSONValue = [:]) -> PolicyReport {
    LuaHost.answer(to: .ask(PolicyScript(file: file, source: source), .naming, context: context, limits))
  }

  func answer(_ context: JSONValue = [:]) throws -> JSONValue {
    switch report(context) {
    case .answered(let value, _): return value
    case .failed(let failure, _): throw failure
    case let other: throw PolicyFailure(.runtime, "unexpected \(other)")
    }
  }

  /// Nil where there was an answer.
  func failure(_ context: JSONValue = [:]) -> PolicyFailure? {
    if case .failed(let failure, _) = report(context) { failure } else { nil }
  }

  func inspected() throws -> [PolicyPoint] {
    switch LuaHost.answer(to: .inspect(PolicyScript(file: file, source: source), limits)) {
    case .inspected(let points): return points
    case .failed(let failure, _): throw failure
    case let other: throw PolicyFailure(.runtime, "unexpected \(other)")
    }
  }
}
