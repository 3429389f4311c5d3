import DroverModel

/// The stage that is checked, and what lies around it.
struct CheckLibrary: StageLibrary {
  var stages: [LoadedStage]

  mutating func stage(named name: String) throws -> LoadedStage {
    guard let stage = stages.first(where: { $0.name == name }) else {
      throw Fault(.unknownStage, "the check has no stage called `\(name)`")
    }
    return stage
  }
}

/// A step that found a fault.
struct CheckFailure: Error {
  var detail: String
  init(_ detail: String) { self.detail = detail }
}

/// A step that can't be made with this stage.
struct CheckSkipped: Error {
  var detail: String
  init(_ detail: String) { self.detail = detail }
}

/// What a step that passed has to say.
struct CheckPassed {
  var cases: Int
  var detail: String?
  init(_ cases: Int, _ detail: String? = nil) {
    self.cases = cases
    self.detail = detail
  }
}
