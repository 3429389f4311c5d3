/// What applying one document did.
public struct ApplyOutcome: Sendable, Codable {
  public var result: Result
  /// As it is now; for a dry run, as it would be.
  public var object: Resource
  /// For people, one sentence each: fields that have no effect here, unknown keys under `warn`.
  public var warnings: [String]
  /// What the job would need; only in the answer to a dry run that reached the planning of one.
  public var plan: JobPlan?

  public init(result: Result, object: Resource, warnings: [String] = [], plan: JobPlan? = nil) {
    self.result = result
    self.object = object
    self.warnings = warnings
    self.plan = plan
  }

  public enum Result: String, Sendable, Codable { case created, configured, unchanged }
}

/// How to apply a document.
public struct ApplyOptions: Sendable, Hashable {
  /// Check everything, change nothing.
  public var dryRun: Bool
  public var validation: Validation

  public init(dryRun: Bool = false, validation: Validation = .strict) {
    self.dryRun = dryRun
    self.validation = validation
  }
}

/// What an unknown key in a document means. A value that is wrong is an error in every mode.
public enum Validation: String, Sendable, Codable, CaseIterable {
  /// An error that names the nearest known key.
  case strict
  /// A warning; the key is dropped.
  case warn
  /// Nothing; the key is dropped.
  case ignore
}
