import DroverModel
import LinuxSystem

/// The `ctx` that a policy is given. Source of its fields: docs/hooks.md.
struct PolicyContext: Sendable {
  /// What is being named or labelled: the kind of the new object.
  var kind: ResourceKind
  /// `metadata.generateName`.
  var generateName: String?
  var source: Source?
  var labels: [String: String]
  var job: JobFacts

  /// What the new object is made from.
  struct Source: Sendable {
    var kind: ResourceKind
    var name: String
    var labels: [String: String] = [:]
    /// In bytes.
    var size: Int64?
    /// SHA-512 in hexadecimal.
    var checksum: String?
  }

  struct JobFacts: Sendable {
    var id: String
    var kind: Job.Kind
    /// From 1.
    var attempt: Int
  }

  /// - Parameter now: Seconds since 1970.
  func json(_ point: PolicyPoint, now: Double) -> JSONValue {
    let seconds = Int64(now.rounded(.down))
    return [
      "api": 1, "point": .string(point.rawValue), "now": .int(seconds),
      "now_iso": .string(Timestamp.text(Double(seconds))), "host": .string(ownHostName),
      "job": ["id": .string(job.id), "kind": .string(job.kind.rawValue), "attempt": .int(Int64(job.attempt))],
      "kind": .string(kind.rawValue), "generate_name": .of(generateName), "labels": Self.json(labels),
      "source": source.map { source in
        [
          "kind": .string(source.kind.rawValue), "name": .string(source.name), "labels": Self.json(source.labels),
          "size": .of(source.size), "checksum": .of(source.checksum),
        ]
      } ?? .null,
    ]
  }

  private static func json(_ labels: [String: String]) -> JSONValue { .object(labels.mapValues { .string($0) }) }
}
