import ChildProtocol
import DroverModel
import FoundationEssentials
import GRDB

// How the engine's values and the catalog's rows become each other. Nested values are JSON with sorted keys.

extension ResourceRecord {
  init(row: Row) throws {
    self.init(
      key: ResourceKey(try Column.enumeration(row["kind"]), row["name"]), uid: row["uid"], namespace: row["namespace"],
      labels: try Column.value(row["labels"]), spec: try Column.value(row["spec"]),
      status: try Column.value(row["status"]), generation: row["generation"], createdAt: row["created_at"],
      deleting: row["deleting"])
  }

  func put(into database: Database) throws {
    try database.execute(
      sql: """
        INSERT OR REPLACE INTO resource
          (kind, name, uid, namespace, labels, spec, status, generation, created_at, deleting)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        key.kind.rawValue, key.name, uid, namespace, try Column.text(labels), try Column.text(spec),
        try Column.text(status), generation, createdAt, deleting,
      ])
  }
}

extension JobRecord {
  init(row: Row) throws {
    let job = Job(
      id: row["id"], kind: try Column.enumeration(row["kind"]),
      owner: ResourceKey(try Column.enumeration(row["owner_kind"]), row["owner_name"]),
      reads: try Column.value(row["reads"]), pipeline: try Column.value(row["pipeline"]),
      state: try Column.enumeration(row["state"]), attempt: row["attempt"], error: try Column.optional(row["error"]),
      result: try Column.value(row["result"]), target: row["target"], createdAt: row["created_at"],
      startedAt: row["started_at"], finishedAt: row["finished_at"], runAfter: row["run_after"])
    self.init(job, priority: row["priority"])
    failures = row["failures"]
    leftovers = row["leftovers"]
    held = row["held"]
    waitsForChange = row["waits_for_change"]
    ending = try Column.optional(row["ending"])
    note = row["note"]
  }

  /// Updates in place, so that the checkpoint of the job stays.
  func put(into database: Database) throws {
    let values: [String: (any DatabaseValueConvertible)?] = [
      "id": job.id, "kind": job.kind.rawValue, "owner_kind": job.owner.kind.rawValue, "owner_name": job.owner.name,
      "target": job.target, "state": job.state.rawValue, "attempt": job.attempt, "priority": priority,
      "failures": failures, "leftovers": leftovers, "held": held, "waits_for_change": waitsForChange,
      "run_after": job.runAfter, "created_at": job.createdAt, "started_at": job.startedAt,
      "finished_at": job.finishedAt, "note": note, "pipeline": try Column.text(job.pipeline),
      "reads": try Column.text(job.reads), "result": try Column.text(job.result),
      "error": try job.error.map(Column.text), "ending": try ending.map(Column.text),
    ]
    let names = values.keys.sorted()
    try database.execute(
      sql: """
        INSERT INTO job (\(names.joined(separator: ", "))) VALUES (\(names.map { ":\($0)" }.joined(separator: ", ")))
        ON CONFLICT (id) DO UPDATE SET \(names.map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
        """, arguments: StatementArguments(values))
  }
}

extension DecisionRecord {
  init(row: Row) throws {
    self.init(
      job: row["job"], ownerUID: row["owner_uid"], time: row["time"], inputDigest: row["input_digest"],
      decision: PolicyDecision(
        point: try Column.enumeration(row["point"]), script: row["script"], digest: row["digest"],
        output: try Column.value(row["output"]), reason: row["reason"], fallback: row["fallback"],
        warning: row["warning"]))
  }

  func put(into database: Database) throws {
    try database.execute(
      sql: """
        INSERT INTO hook_decision
          (time, job, owner_uid, point, script, digest, input_digest, output, reason, fallback, warning)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        time, job, ownerUID, decision.point.rawValue, decision.script, decision.digest, inputDigest,
        try Column.text(decision.output), decision.reason, decision.fallback, decision.warning,
      ])
  }
}

extension SecretReference {
  func delete(from database: Database) throws {
    try database.execute(
      sql: "DELETE FROM secret WHERE namespace = ? AND name = ?", arguments: [namespace, name])
  }
}

extension SealedValue {
  init(row: Row) { self.init(key: row["key"], sealedWith: row["sealed_with"], bytes: [UInt8](row["value"] as Data)) }

  func put(into database: Database, of secret: SecretReference) throws {
    try database.execute(
      sql: "INSERT INTO secret (namespace, name, key, sealed_with, value) VALUES (?, ?, ?, ?, ?)",
      arguments: [secret.namespace, secret.name, key, sealedWith, Data(bytes)])
  }
}

extension EventDraft {
  func put(into database: Database) throws {
    try database.execute(
      sql: "INSERT INTO job_event (time, type, kind, name, job, message) VALUES (?, ?, ?, ?, ?, ?)",
      arguments: [time, type.rawValue, subject.kind.rawValue, subject.name, job, message])
  }
}

extension Event {
  init(row: Row) {
    self.init(
      seq: row["seq"], time: Timestamp.text(row["time"]), type: Kind(rawValue: row["type"]), kind: row["kind"],
      name: row["name"], job: row["job"], message: row["message"])
  }
}

/// Values in a column.
enum Column {
  static func text(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  static func value<T: Decodable>(_ text: String) throws -> T {
    try JSONDecoder().decode(T.self, from: Data(text.utf8))
  }

  static func optional<T: Decodable>(_ text: String?) throws -> T? {
    guard let text else { return nil }
    return try value(text) as T
  }

  static func enumeration<T: RawRepresentable<String>>(_ text: String) throws -> T {
    guard let value = T(rawValue: text) else {
      throw Fault(.internalError, "the catalog holds \"\(text)\", which this version does not know")
    }
    return value
  }
}
