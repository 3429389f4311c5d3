/// What `drover plugin check` found of one plugin.
public struct PluginCheck: Sendable, Hashable, Codable {
  public var path: String
  public var name: String?
  public var version: String?
  public var steps: [Step]
  public var passed: Bool { !steps.isEmpty && !steps.contains { $0.outcome == .failed } }

  public init(path: String, name: String? = nil, version: String? = nil, steps: [Step] = []) {
    self.path = path
    self.name = name
    self.version = version
    self.steps = steps
  }

  /// One row of the fault matrix.
  public struct Step: Sendable, Hashable, Codable {
    /// Empty for what concerns the whole plugin.
    public var stage: String
    public var role: Pipeline.Role?
    public var name: String
    public var outcome: Outcome
    /// How many runs or comparisons it is made of.
    public var cases: Int
    /// Why it failed or was skipped, else what is worth knowing.
    public var detail: String?

    public init(
      stage: String, role: Pipeline.Role?, name: String, outcome: Outcome, cases: Int = 0, detail: String? = nil
    ) {
      self.stage = stage
      self.role = role
      self.name = name
      self.outcome = outcome
      self.cases = cases
      self.detail = detail
    }
  }

  public enum Outcome: String, Sendable, Codable {
    case passed, failed, skipped
  }
}
