import ChildProtocol
import DroverModel
import GRDB
import LinuxSystem
import TestKit
import Testing

@testable import Engine

struct CatalogTests {
  private let folder = TemporaryFolder("catalog")
  private var path: String { folder("catalog.sqlite") }

  private let resource = ResourceRecord(
    key: ResourceKey(.backingImage, "parrot"), uid: "u", namespace: "longhorn-system", labels: ["a": "b"],
    spec: ["sourceType": "download", "n": 9_007_199_254_740_993], status: ["state": "pending"], generation: 3,
    createdAt: 1.5, deleting: true)

  private var record: JobRecord {
    var record = JobRecord(
      Job(
        id: "job-1", kind: .deleteBackup, owner: ResourceKey(.backupBackingImage, "parrot"),
        reads: [ResourceKey(.backingImage, "parrot")],
        pipeline: Pipeline(from: [.init("delete-backup", .task, ["url": "file:///x"])], to: []), state: .paused,
        attempt: 4, error: Fault(.locked, "held", hint: "wait"), result: ["size": 7], target: "default",
        createdAt: 2, startedAt: 3, finishedAt: 4, runAfter: 5.25), priority: -3)
    record.failures = 2
    record.leftovers = true
    record.held = true
    record.waitsForChange = true
    record.ending = .failed(Fault(.noSpace, "full"))
    record.note = "a note"
    return record
  }

  @Test func everyFieldComesBack() throws {
    do {
      let catalog = try Catalog(path: path)
      try catalog.commit([.putResource(resource), .putJob(record)])
    }
    let kept = try Catalog(path: path).load()
    #expect(kept.resources == [resource])
    #expect(kept.jobs == [record])
  }

  @Test func everyCommitReachesTheDisk() throws {
    #expect(try Catalog(path: path).synchronousLevel == 2)
    let mode = try DatabaseQueue(path: path).read { try String.fetchOne($0, sql: "PRAGMA journal_mode") }
    #expect(mode == "wal")
  }

  @Test func aCommitTakesEffectAsAWholeOrNotAtAll() throws {
    let catalog = try Catalog(path: path)
    let orphan = Checkpoint(pipelineDigest: "d", identities: [], offset: 0, tokens: [])
    #expect(throws: Fault.self) {
      try catalog.commit([.putResource(resource), .putCheckpoint(job: "job-none", orphan)])
    }
    #expect(try catalog.load().resources.isEmpty)
  }

  @Test func aCheckpointStaysWithItsJobAndGoesWithIt() throws {
    let catalog = try Catalog(path: path)
    let checkpoint = Checkpoint(pipelineDigest: "d", identities: ["i"], offset: 1 << 40, tokens: ["dA=="])
    try catalog.commit([.putJob(record), .putCheckpoint(job: "job-1", checkpoint)])
    var later = record
    later.job.attempt = 5
    try catalog.commit([.putJob(later)])
    #expect(try catalog.checkpoint(job: "job-1") == checkpoint)
    try catalog.commit([.deleteJob("job-1")])
    #expect(try catalog.checkpoint(job: "job-1") == nil)
  }

  @Test func eventsAreNumberedWithoutGapsAndNeverAgain() throws {
    let catalog = try Catalog(path: path)
    let draft = EventDraft(type: .created, subject: resource.key, job: "job-1", message: "m", time: 0)
    try catalog.commit((0..<5).map { _ in .event(draft) })
    try catalog.commit([.pruneEvents(keeping: 2)])
    #expect(try catalog.events(after: 0, limit: 10).map(\.seq) == [4, 5])
    try catalog.commit([.pruneEvents(keeping: 0), .event(draft)])
    #expect(try catalog.events(after: 0, limit: 10).map(\.seq) == [6])
    #expect(try catalog.events(about: resource.key, jobs: [], limit: 10).first?.time == "1970-01-01T00:00:00Z")
    #expect(try catalog.events(about: ResourceKey(.job, "x"), jobs: ["job-1"], limit: 10).count == 1)
  }

  @Test func aCatalogOfANewerVersionIsRefused() throws {
    do { _ = try Catalog(path: path) }
    try DatabaseQueue(path: path).write {
      try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('2999')")
    }
    let fault = #expect(throws: Fault.self) { try Catalog(path: path) }
    #expect(fault?.code == .conflict)
    #expect(fault?.message == "the catalog \(path) was written by a newer version of Drover")
  }

  @Test func migrationsOnlyGoForward() throws {
    let names = CatalogMigrations.migrator.migrations
    #expect(names.first == "1" && Set(names).count == names.count)
    #expect(names.contains("secrets"))
    let again = try Catalog(path: path)
    try again.commit([.putResource(resource)])
    #expect(try Catalog(path: path).load().resources.count == 1)
  }

  @Test func aDamagedCatalogIsRefused() throws {
    do {
      let catalog = try Catalog(path: path)
      var large = resource
      for number in 0..<200 {
        large.key.name = "image-\(number)"
        large.uid = "u\(number)"
        large.spec["pad"] = .string(String(repeating: "x", count: 2000))
        try catalog.commit([.putResource(large)])
      }
    }
    let file = try OpenFile.open(path, .readWrite)
    let middle = try file.size() / 2 / 4096 * 4096
    try [UInt8](repeating: 0xFF, count: 8192).withUnsafeBytes { try file.write($0, at: middle) }
    #expect(throws: Fault.self) { try Catalog(path: path) }
  }

  @Test func aFileThatIsNoCatalogIsRefused() throws {
    try Folder.writeDurably(path, Array(repeating: UInt8(ascii: "x"), count: 8192))
    let fault = #expect(throws: Fault.self) { try Catalog(path: path) }
    #expect(fault?.message.hasPrefix("could not open the catalog \(path)") == true)
  }
}
