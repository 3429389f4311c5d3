import ChildProtocol
import DroverModel
import GRDB

/// `STATE/catalog.sqlite`, the only truth about resources and jobs. Every commit is on the disk when it returns: WAL
/// with `synchronous=FULL`.
///
/// Calls block. They may come from any thread; the engine's come from its own queue.
final class Catalog: CatalogStore {
  private let pool: DatabasePool

  /// Opens, checks and migrates the file, or makes it.
  /// - Throws: A Fault: `conflict` for a catalog of a newer version, `internal` for a damaged one or one that can't be
  ///   opened.
  init(path: String) throws {
    do {
      var configuration = GRDB.Configuration()
      configuration.foreignKeysEnabled = true
      configuration.busyMode = .timeout(5)
      // What is deleted is overwritten: sealed values are no exception to what nobody may find later.
      configuration.prepareDatabase { try $0.execute(sql: "PRAGMA secure_delete = ON") }
      pool = try DatabasePool(path: path, configuration: configuration)
      let migrator = CatalogMigrations.migrator
      if try pool.read(migrator.hasBeenSuperseded) {
        throw Fault(
          .conflict, "the catalog \(path) was written by a newer version of Drover",
          hint: "start that version, or another state folder")
      }
      // The pool's own setup leaves the writer at NORMAL, which may lose the last commits in a power cut.
      let level = try pool.writeWithoutTransaction { database in
        try database.execute(sql: "PRAGMA synchronous = FULL")
        return try Int.fetchOne(database, sql: "PRAGMA synchronous")
      }
      guard level == 2 else {
        throw Fault(.internalError, "SQLite did not take synchronous=FULL for the catalog \(path)")
      }
      let verdict = try pool.read { try String.fetchAll($0, sql: "PRAGMA quick_check") }
      guard verdict == ["ok"] else {
        throw Fault(
          .internalError, "the catalog \(path) is damaged: \(verdict.prefix(3).joined(separator: "; "))",
          hint: "put a copy of it back; images and stores are not touched by this")
      }
      try migrator.migrate(pool)
    } catch let error as DatabaseError {
      throw Self.fault("open", path, error)
    }
  }

  /// For tests and the daemon's own check: 2 is FULL.
  var synchronousLevel: Int? {
    get throws { try pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") } }
  }

  func load() throws -> (resources: [ResourceRecord], jobs: [JobRecord]) {
    try reading { database in
      let resources = try Row.fetchAll(database, sql: "SELECT * FROM resource").map(ResourceRecord.init)
      let jobs = try Row.fetchAll(database, sql: "SELECT * FROM job").map(JobRecord.init)
      return (resources, jobs)
    }
  }

  func commit(_ changes: [CatalogChange]) throws {
    guard !changes.isEmpty else { return }
    do {
      try pool.write { database in
        for change in changes {
          switch change {
          case .putResource(let record): try record.put(into: database)
          case .deleteResource(let key):
            try database.execute(
              sql: """
                DELETE FROM hook_decision
                WHERE job IS NULL AND owner_uid IN (SELECT uid FROM resource WHERE kind = ? AND name = ?)
                """, arguments: [key.kind.rawValue, key.name])
            try database.execute(
              sql: "DELETE FROM resource WHERE kind = ? AND name = ?", arguments: [key.kind.rawValue, key.name])
          case .putSecret(let secret, let values):
            try secret.delete(from: database)
            for value in values { try value.put(into: database, of: secret) }
          case .deleteSecret(let secret): try secret.delete(from: database)
          case .putStoreObject(let target, let path, let version):
            try database.execute(
              sql: "INSERT OR REPLACE INTO store_object (target, path, version) VALUES (?, ?, ?)",
              arguments: [target, path, version])
          case .deleteStoreObject(let target, let path):
            try database.execute(
              sql: "DELETE FROM store_object WHERE target = ? AND path = ?", arguments: [target, path])
          case .deleteStoreObjects(let target):
            try database.execute(sql: "DELETE FROM store_object WHERE target = ?", arguments: [target])
          case .putJob(let record): try record.put(into: database)
          case .deleteJob(let id): try database.execute(sql: "DELETE FROM job WHERE id = ?", arguments: [id])
          case .putCheckpoint(let job, let checkpoint):
            try database.execute(
              sql: "INSERT OR REPLACE INTO checkpoint (job, value) VALUES (?, ?)",
              arguments: [job, try Column.text(checkpoint)])
          case .deleteCheckpoint(let job):
            try database.execute(sql: "DELETE FROM checkpoint WHERE job = ?", arguments: [job])
          case .addDecision(let record): try record.put(into: database)
          case .event(let draft): try draft.put(into: database)
          case .pruneEvents(let count):
            try database.execute(
              sql: "DELETE FROM job_event WHERE seq <= (SELECT max(seq) FROM job_event) - ?", arguments: [count])
          }
        }
      }
    } catch let error as DatabaseError {
      throw Self.fault("write to", pool.path, error)
    }
  }

  func storeObjects(target: String) throws -> [String: String] {
    try reading { database in
      let rows = try Row.fetchAll(
        database, sql: "SELECT path, version FROM store_object WHERE target = ?", arguments: [target])
      return Dictionary(uniqueKeysWithValues: rows.map { ($0["path"], $0["version"]) })
    }
  }

  func decisions() throws -> [DecisionRecord] {
    try reading { try Row.fetchAll($0, sql: "SELECT * FROM hook_decision ORDER BY seq").map(DecisionRecord.init) }
  }

  func checkpoint(job: String) throws -> Checkpoint? {
    try reading { database in
      try Column.optional(
        String.fetchOne(database, sql: "SELECT value FROM checkpoint WHERE job = ?", arguments: [job]))
    }
  }

  func sealedValues(of secret: SecretReference) throws -> [SealedValue] {
    try reading { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM secret WHERE namespace = ? AND name = ? ORDER BY key",
        arguments: [secret.namespace, secret.name]
      ).map(SealedValue.init)
    }
  }

  func holdsSecrets() throws -> Bool {
    try reading { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM secret)") ?? false }
  }

  func events(after seq: Int64, limit: Int) throws -> [Event] {
    try reading { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM job_event WHERE seq > ? ORDER BY seq LIMIT ?", arguments: [seq, limit]
      ).map(Event.init)
    }
  }

  func events(about subject: ResourceKey, jobs: [String], limit: Int) throws -> [Event] {
    try reading { database in
      let marks = jobs.map { _ in "?" }.joined(separator: ", ")
      var arguments: StatementArguments = [subject.kind.rawValue, subject.name]
      arguments += StatementArguments(jobs)
      arguments += [limit]
      return try Row.fetchAll(
        database,
        sql: """
          SELECT * FROM job_event WHERE (kind = ? AND name = ?) OR job IN (\(marks)) ORDER BY seq DESC LIMIT ?
          """, arguments: arguments
      ).reversed().map(Event.init)
    }
  }

  private func reading<T>(_ body: (Database) throws -> T) throws -> T {
    do { return try pool.read(body) } catch let error as DatabaseError { throw Self.fault("read", pool.path, error) }
  }

  private static func fault(_ doing: String, _ path: String, _ error: DatabaseError) -> Fault {
    let answer = error.message ?? error.resultCode.description
    if error.resultCode == .SQLITE_FULL {
      return Fault(.noSpace, "could not \(doing) the catalog \(path): \(answer)", hint: "free some space")
    }
    return Fault(.internalError, "could not \(doing) the catalog \(path): \(answer)")
  }
}
