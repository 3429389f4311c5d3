import Synchronization
import Testing

/// What a long run has found wrong: recorded as the test's issues, and counted.
enum Findings {
  private static let found = Atomic(0)

  static var count: Int { found.load(ordering: .relaxed) }

  static func check(
    _ isSo: Bool, _ finding: @autoclosure () -> String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    if isSo { return }
    found.add(1, ordering: .relaxed)
    Issue.record("\(finding())", sourceLocation: sourceLocation)
  }
}
