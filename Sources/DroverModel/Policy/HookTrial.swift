/// What a policy would decide: `drover hook test`. Nothing of it is kept.
public struct HookTrial: Sendable, Hashable, Codable {
  /// As a job's `status.decisions` would have it. Nil where no file handles the point.
  public var decision: PolicyDecision?
  public var point: PolicyPoint
  /// The `ctx` that the function was given.
  public var input: JSONValue
  /// The name, or the labels, that this leads to. Null where the built-in answer is not known here.
  public var result: JSONValue
  /// What the script wrote with `print`.
  public var printed: String
  /// The second of two runs gave the same output. A policy whose answers differ can't be relied on.
  public var repeatable: Bool

  public init(
    decision: PolicyDecision?, point: PolicyPoint, input: JSONValue, result: JSONValue = .null, printed: String = "",
    repeatable: Bool = true
  ) {
    self.decision = decision
    self.point = point
    self.input = input
    self.result = result
    self.printed = printed
    self.repeatable = repeatable
  }
}
