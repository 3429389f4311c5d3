import GRDB

/// The catalog's schema, one named step after the other. A step that was released is never edited; the next one
/// changes what it made.
enum CatalogMigrations {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { database in
      try database.execute(
        sql: """
          CREATE TABLE resource (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            uid TEXT NOT NULL UNIQUE,
            namespace TEXT,
            labels TEXT NOT NULL CHECK (json_valid(labels)),
            spec TEXT NOT NULL CHECK (json_valid(spec)),
            status TEXT NOT NULL CHECK (json_valid(status)),
            generation INTEGER NOT NULL CHECK (generation > 0),
            created_at REAL NOT NULL,
            deleting INTEGER NOT NULL CHECK (deleting IN (0, 1)),
            PRIMARY KEY (kind, name)
          ) WITHOUT ROWID, STRICT;

          CREATE TABLE job (
            id TEXT NOT NULL PRIMARY KEY,
            kind TEXT NOT NULL,
            owner_kind TEXT NOT NULL,
            owner_name TEXT NOT NULL,
            parent TEXT,
            target TEXT,
            state TEXT NOT NULL
              CHECK (state IN ('pending', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
            attempt INTEGER NOT NULL CHECK (attempt >= 0),
            priority INTEGER NOT NULL,
            failures INTEGER NOT NULL CHECK (failures >= 0),
            leftovers INTEGER NOT NULL CHECK (leftovers IN (0, 1)),
            held INTEGER NOT NULL CHECK (held IN (0, 1)),
            waits_for_change INTEGER NOT NULL CHECK (waits_for_change IN (0, 1)),
            run_after REAL,
            created_at REAL NOT NULL,
            started_at REAL,
            finished_at REAL,
            note TEXT,
            pipeline TEXT NOT NULL CHECK (json_valid(pipeline)),
            reads TEXT NOT NULL CHECK (json_valid(reads)),
            result TEXT NOT NULL CHECK (json_valid(result)),
            error TEXT CHECK (error IS NULL OR json_valid(error)),
            ending TEXT CHECK (ending IS NULL OR json_valid(ending))
          ) WITHOUT ROWID, STRICT;
          CREATE INDEX job_owner ON job (owner_kind, owner_name);

          CREATE TABLE checkpoint (
            job TEXT NOT NULL PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
            value TEXT NOT NULL CHECK (json_valid(value))
          ) WITHOUT ROWID, STRICT;

          CREATE TABLE job_event (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            time REAL NOT NULL,
            type TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            job TEXT,
            message TEXT NOT NULL
          ) STRICT;
          CREATE INDEX job_event_subject ON job_event (kind, name);
          CREATE INDEX job_event_job ON job_event (job);
          """)
    }
    migrator.registerMigration("hook-decisions") { database in
      // Of a job, or of an object that has none: then it goes with the object.
      try database.execute(
        sql: """
          CREATE TABLE hook_decision (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            time REAL NOT NULL,
            job TEXT REFERENCES job (id) ON DELETE CASCADE,
            owner_uid TEXT NOT NULL,
            point TEXT NOT NULL,
            script TEXT NOT NULL,
            digest TEXT NOT NULL,
            input_digest TEXT NOT NULL,
            output TEXT NOT NULL CHECK (json_valid(output)),
            reason TEXT NOT NULL,
            fallback INTEGER NOT NULL CHECK (fallback IN (0, 1)),
            warning TEXT
          ) STRICT;
          CREATE INDEX hook_decision_job ON hook_decision (job);
          CREATE INDEX hook_decision_owner ON hook_decision (owner_uid);
          """)
    }
    migrator.registerMigration("secrets") { database in
      try database.execute(
        sql: """
          CREATE TABLE secret (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            key TEXT NOT NULL,
            sealed_with TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (namespace, name, key)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("store-objects") { database in
      // The local index of each target: what was read of its store, and in which version.
      try database.execute(
        sql: """
          CREATE TABLE store_object (
            target TEXT NOT NULL,
            path TEXT NOT NULL,
            version TEXT NOT NULL,
            PRIMARY KEY (target, path)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    return migrator
  }
}
