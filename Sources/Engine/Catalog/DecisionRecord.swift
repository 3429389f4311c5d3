import DroverModel

/// One row of the table `hook_decision`: what a policy decided, written before it is acted on, so that a crash repeats
/// the decision and never asks again.
struct DecisionRecord: Sendable, Hashable {
  /// Nil for an object that has no job yet: an image that waits for its upload.
  var job: String?
  var ownerUID: String
  /// Seconds since 1970.
  var time: Double
  /// SHA-512 of the context's JSON, in hexadecimal.
  var inputDigest: String
  var decision: PolicyDecision
}
