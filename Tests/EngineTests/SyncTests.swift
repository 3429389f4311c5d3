import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// What the engine makes of a look at a store.
struct SyncTests {
  /// A store that a test fills: looks answer from it, and say only what is another version than was seen.
  private final class Shelf: Sendable {
    private struct State {
      var images: [String: [String: JSONValue]] = [:]
      var version = 0
      var answer: [String: JSONValue] = ["available": true, "vanished": false]
      var gate: AsyncStream<Void>?
      var seen: [[String: JSONValue]] = []
      var volumes: [[String: JSONValue]] = []
      var seenBackups: [String: JSONValue] = [:]
    }
    private let state = Mutex(State())

    func put(_ image: String, _ fields: [String: JSONValue] = [:]) {
      state.withLock { state in
        state.version += 1
        var all: [String: JSONValue] = [
          "backingImage": .string(image), "state": "Completed", "size": 512, "labels": ["k": "v"],
          "url": .string("file:///away?backingImage=\(image)"), "compressionMethod": "lz4",
          "version": .string("v\(state.version)"),
        ]
        all.merge(fields) { $1 }
        state.images[image] = all
      }
    }
    func put(volumes: [[String: JSONValue]]) { state.withLock { $0.volumes = volumes } }
    var seenBackups: [String: JSONValue] { state.withLock { $0.seenBackups } }
    func remove(_ image: String) { state.withLock { $0.images[image] = nil } }
    func answer(_ answer: [String: JSONValue]) { state.withLock { $0.answer = answer } }
    /// The next look goes on when the stream says so.
    func hold(_ gate: AsyncStream<Void>?) { state.withLock { $0.gate = gate } }
    var seen: [[String: JSONValue]] { state.withLock { $0.seen } }

    func play(_ worker: FakeWorker, _ order: JobOrder) async {
      guard let stage = order.pipeline.from.first, stage.stage == "sync-target",
        stage.params["target"] == "file:///away"
      else { return await worker.succeed(order) }
      guard await worker.admitted() else { return }
      let seen = Self.read(order.jobFolder, "images")
      let seenBackups = Self.read(order.jobFolder, "backups")
      let (images, volumes, answer, gate) = state.withLock { state in
        state.seen.append(seen)
        state.seenBackups = seenBackups
        return (state.images, state.volumes, state.answer, state.gate)
      }
      for fields in volumes { worker.say(.record(stage: "sync-target", kind: "backup", value: .object(fields))) }
      let paths = volumes.map { "\($0["volumeName"]?.string ?? "")/\($0["backup"]?.string ?? "")" }
      for path in seenBackups.keys.sorted() where !paths.contains(path) {
        let parts = path.split(separator: "/").map(String.init)
        worker.say(
          .record(
            stage: "sync-target", kind: "gone",
            value: ["backup": .string(parts[1]), "volumeName": .string(parts[0])]))
      }
      for (name, fields) in images.sorted(by: { $0.key < $1.key }) where seen[name] != fields["version"] {
        worker.say(.record(stage: "sync-target", kind: "image", value: .object(fields)))
      }
      if answer["vanished"] != true {
        for name in seen.keys.sorted() where images[name] == nil {
          worker.say(
            .record(stage: "sync-target", kind: "gone", value: ["backingImage": .string(name)]))
        }
      }
      if let gate { for await _ in gate { break } }
      worker.say(.finished(JobResult(values: answer)))
    }

    private static func read(_ folder: String, _ kind: String) -> [String: JSONValue] {
      guard let bytes = try? Folder.readFile("\(folder)/seen", limit: 1 << 20),
        let value: JSONValue = try? Column.value(String(decoding: bytes, as: UTF8.self))
      else { return ["no/file": "seen"] }
      return value[kind]?.object ?? [:]
    }
  }

  private let key = ResourceKey(.backupTarget, "away")

  private func fixture(_ shelf: Shelf, folder: TemporaryFolder = TemporaryFolder("engine")) async throws
    -> EngineFixture
  {
    try await EngineFixture(
      FakeWorkers(task: { await shelf.play($0, $1) }), folder: folder, configure: { $0.probeSeconds = 1e6 })
  }

  private func applyTarget(_ fixture: EngineFixture) async throws {
    let spec: [String: JSONValue] = ["backupTargetURL": "file:///away", "pollInterval": "0"]
    try await fixture.apply(EngineFixture.manifest("BackupTarget", "away", spec))
    try await eventually("it is looked at") {
      BackupTarget.Status(try await fixture.engine.resource(self.key).status).lastSyncedAt != nil
    }
  }

  @discardableResult
  private func sync(_ fixture: EngineFixture) async throws -> Resource {
    let job = try await fixture.engine.syncTarget("away", by: .daemon)
    return try await fixture.job(job.metadata.name, is: "succeeded")
  }

  private func names(_ fixture: EngineFixture) async throws -> [String] {
    try await fixture.engine.resources(.backupBackingImage).map(\.metadata.name)
  }

  @Test func whatOthersMadeBecomesRecords() async throws {
    let shelf = Shelf()
    shelf.put("Parrot", ["checksum": "ab"])
    shelf.put("stub", ["state": "InProgress", "error": "its maker has not completed it"])
    shelf.put("bad", ["state": "Unknown", "error": "no config"])
    shelf.put(String(repeating: "x", count: 65))
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    #expect(try await names(fixture) == ["bad", "parrot", "stub"])
    let parrot = try await fixture.backup("parrot")
    #expect(parrot.spec == ["backingImage": "Parrot", "backupTargetName": "away", "userCreated": false])
    let status = BackupBackingImage.Status(parrot.status)
    #expect(status.state == .completed && status.progress == 100 && status.checksum == "ab" && status.size == 512)
    #expect(status.labels == ["k": "v"] && status.url == "file:///away?backingImage=Parrot")
    #expect(status.lastSyncedAt != nil)
    let stub = BackupBackingImage.Status(try await fixture.backup("stub").status)
    #expect(stub.state == .inProgress && stub.progress == 0 && stub.error == "its maker has not completed it")
    #expect(BackupBackingImage.Status(try await fixture.backup("bad").status).state == .unknown)
    // A stub that is completed, and what is gone.
    shelf.put("stub")
    shelf.remove("bad")
    try await sync(fixture)
    #expect(try await names(fixture) == ["parrot", "stub"])
    #expect(BackupBackingImage.Status(try await fixture.backup("stub").status).state == .completed)
    try await fixture.stop()
  }

  @Test func volumesBackupsBecomeRecords() async throws {
    let shelf = Shelf()
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    let fields: [String: JSONValue] = [
      "backup": "backup-1", "volumeName": "data", "state": "Completed", "version": "v9", "size": 4096,
      "url": "file:///away?backup=backup-1&volume=data", "snapshotName": "snap", "isIncremental": true,
      "volumeBackingImageName": "parrot", "labels": ["k": "v"], "backupCreatedAt": "2026-01-01T00:00:00Z",
    ]
    var other = fields
    other["volumeName"] = "other"
    shelf.put(volumes: [fields, other])
    try await sync(fixture)
    let backups = try await fixture.engine.resources(.backup, labels: ["backup-volume": "data"])
    #expect(backups.map(\.metadata.name) == ["backup-1"])
    #expect(try await fixture.engine.resources(.backup).map(\.metadata.name) == ["backup-1", "backup-1-away"])
    let status = Backup.Status(try #require(backups.first).status)
    #expect(status.state == .completed && status.progress == 100 && status.size == 4096 && status.isIncremental)
    #expect(status.volumeName == "data" && status.volumeBackingImageName == "parrot" && status.lastSyncedAt != nil)
    shelf.put(volumes: [fields])
    try await sync(fixture)
    #expect(shelf.seenBackups == ["data/backup-1": "v9", "other/backup-1": "v9"])
    #expect(try await fixture.engine.resources(.backup).count == 1)
    let key = ResourceKey(.backup, "backup-1")
    // A pin outlives a look at the store that found the backup changed.
    _ = try await fixture.engine.pin(key, true, by: .daemon)
    var changed = fields
    changed["version"] = "v10"
    changed["size"] = 8192
    shelf.put(volumes: [changed])
    try await sync(fixture)
    let pinned = Backup.Status(try #require(try await fixture.engine.resources(.backup).first).status)
    #expect(pinned.pinned && pinned.size == 8192)
    // And one that finds it no more.
    shelf.put(volumes: [])
    try await sync(fixture)
    let lost = Backup.Status(try #require(try await fixture.engine.resources(.backup).first).status)
    #expect(lost.pinned && lost.state == .unknown && lost.error.contains("pinned"), "\(lost)")
    shelf.put(volumes: [changed])
    try await sync(fixture)
    let found = Backup.Status(try #require(try await fixture.engine.resources(.backup).first).status)
    #expect(found.pinned && found.state == .completed && found.error == "")
    for force in [false, true] {
      let refusal = await fixture.fault { try await fixture.engine.delete(key, force: force, by: .daemon) }
      #expect(refusal?.code == .conflict)
    }
    _ = try await fixture.engine.pin(key, false, by: .daemon)
    // They go with their target, and hold it up in nothing.
    _ = try await fixture.engine.delete(self.key, force: false, by: .daemon)
    try await fixture.isGone(self.key)
    #expect(try await fixture.engine.resources(.backup).isEmpty)
    try await fixture.stop()
  }

  @Test func aTargetThatMovesForgetsWhatItMirrored() async throws {
    let shelf = Shelf()
    shelf.put("one")
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    #expect(try await names(fixture) == ["one"])
    let spec: [String: JSONValue] = ["backupTargetURL": "file:///elsewhere", "pollInterval": "0"]
    let moved = try await fixture.apply(EngineFixture.manifest("BackupTarget", "away", spec))
    #expect(moved.result == .configured)
    #expect(try await names(fixture) == [])
    try await fixture.stop()
  }

  @Test func whatWasSeenIsRememberedOverARestart() async throws {
    let shelf = Shelf()
    let folder = TemporaryFolder("engine")
    shelf.put("one")
    shelf.put("two")
    do {
      let first = try await fixture(shelf, folder: folder)
      try await applyTarget(first)
      try await first.stop()
    }
    let fixture = try await eventually("the lock is free") { try? await self.fixture(shelf, folder: folder) }
    try await sync(fixture)
    #expect(shelf.seen.last == ["one": "v1", "two": "v2"])
    // Who forgets a record finds it again.
    _ = try await fixture.engine.delete(ResourceKey(.backupBackingImage, "one"), force: true, by: .daemon)
    shelf.put("one")
    try await eventually("it is gone or deleted") { try await self.names(fixture) == ["two"] }
    try await sync(fixture)
    #expect(try await names(fixture) == ["one", "two"])
    try await fixture.stop()
  }

  @Test func namesThatAreTaken() async throws {
    let shelf = Shelf()
    let fixture = try await fixture(shelf)
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    try await fixture.backup("parrot", is: "Completed")
    shelf.put("parrot")
    shelf.put("PARROT")
    shelf.put("Parrot")
    try await applyTarget(fixture)
    let names = try await names(fixture)
    #expect(names.count == 4 && Set(names).isSuperset(of: ["parrot", "parrot-away"]), "\(names)")
    #expect(names.count { $0.hasPrefix("parrot-") && $0.utf8.count == 15 } == 2, "\(names)")
    try await fixture.stop()
  }

  @Test func aTargetThatCantBeUsedTakesNothingAway() async throws {
    let shelf = Shelf()
    shelf.put("one")
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    shelf.remove("one")
    shelf.answer(["available": false, "code": "network", "reason": "cut off"])
    try await sync(fixture)
    #expect(try await names(fixture) == ["one"])
    let status = BackupTarget.Status(try await fixture.engine.resource(key).status)
    #expect(!status.available && status.conditions.first?.reason == "network")
    try await fixture.stop()
  }

  @Test func aStoreThatVanishedIsDoubtedAndBelievedAgain() async throws {
    let shelf = Shelf()
    shelf.put("one")
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    shelf.remove("one")
    shelf.answer(["available": true, "vanished": true])
    try await sync(fixture)
    let doubted = BackupBackingImage.Status(try await fixture.backup("one").status)
    #expect(doubted.state == .unknown && !doubted.error.isEmpty)
    var status = BackupTarget.Status(try await fixture.engine.resource(key).status)
    #expect(status.available && status.conditions.last?.reason == "store-empty", "\(status)")
    shelf.put("one")
    shelf.answer(["available": true, "vanished": false])
    try await sync(fixture)
    #expect(BackupBackingImage.Status(try await fixture.backup("one").status).state == .completed)
    status = BackupTarget.Status(try await fixture.engine.resource(key).status)
    #expect(status.conditions.count == 1)
    try await fixture.stop()
  }

  /// Looks that are under way have nothing to say of what Drover itself does meanwhile.
  @Test func backupsThatAreMadeOrDeletedMeanwhileStayWhatTheyAre() async throws {
    let shelf = Shelf()
    shelf.put("old")
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    try await fixture.apply(EngineFixture.image("new"))
    try await fixture.apply(EngineFixture.image("done"))
    try await fixture.apply(EngineFixture.backup("done", target: "away"))
    try await fixture.backup("done", is: "Completed")
    let (held, release) = AsyncStream<Void>.makeStream()
    shelf.hold(held)
    let job = try await fixture.engine.syncTarget("away", by: .daemon)
    try await eventually("the look is under way") { shelf.seen.count >= 2 }
    #expect(shelf.seen.last?.keys.sorted() == ["done", "old"], "a backup that Drover made is looked for as well")
    // The look has said already: `old` is there, `done` is gone, `new` is not there.
    let old = ResourceKey(.backupBackingImage, "old")
    _ = try await fixture.engine.delete(old, force: false, by: .daemon)
    try await fixture.isGone(old)
    try await fixture.apply(EngineFixture.backup("new", target: "away"))
    try await fixture.backup("new", is: "Completed")
    shelf.hold(nil)
    release.yield()
    try await fixture.job(job.metadata.name, is: "succeeded")
    #expect(try await names(fixture).contains("new"))
    #expect(try await !names(fixture).contains("old"))
    #expect(try await !names(fixture).contains("done"), "nobody touched it, and the store has it no more")
    try await fixture.stop()
  }

  @Test func aFailedBackupOfOnesOwnIsNoRecordOfTheStore() async throws {
    let shelf = Shelf()
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    fixture.workers.copies { worker, order in
      if order.pipeline.to.last?.stage == "backup" {
        await worker.fail(Fault(.contentConflict, "other content"))
      } else {
        await worker.succeed(order)
      }
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "away"))
    try await fixture.backup("parrot", is: "Error")
    shelf.put("parrot")
    try await sync(fixture)
    #expect(BackupBackingImage.Status(try await fixture.backup("parrot").status).state == .error)
    #expect(shelf.seen.last == [:])
    try await fixture.stop()
  }

  /// Who backs up an image whose backup somebody else made takes the record over.
  @Test func aMirroredBackupIsTakenOver() async throws {
    let shelf = Shelf()
    shelf.put("parrot")
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    try await fixture.apply(EngineFixture.image("parrot"))
    let outcome = try await fixture.apply(EngineFixture.backup("parrot", of: "parrot", target: "away"))
    #expect(outcome.result == .configured)
    try await fixture.backup("parrot", is: "Completed")
    #expect(try await fixture.backup("parrot").spec["userCreated"] == true)
    #expect(try await fixture.job(of: ResourceKey(.backupBackingImage, "parrot")).status["type"] == "backup")
    try await fixture.stop()
  }

  @Test func aSecondCallMeansTheLookThatIsUnderWay() async throws {
    let shelf = Shelf()
    let fixture = try await fixture(shelf)
    try await applyTarget(fixture)
    let (held, release) = AsyncStream<Void>.makeStream()
    shelf.hold(held)
    let first = try await fixture.engine.syncTarget("away", by: .daemon)
    let second = try await fixture.engine.syncTarget("away", by: .daemon)
    #expect(first.metadata.name == second.metadata.name)
    release.yield()
    try await fixture.job(first.metadata.name, is: "succeeded")
    let absent = await fixture.fault { try await fixture.engine.syncTarget("absent", by: .daemon) }
    #expect(absent?.code == .notFound)
    try await fixture.stop()
  }

  @Test func theIndexKeepsTargetsApart() throws {
    let folder = TemporaryFolder("catalog")
    let catalog = try Catalog(path: folder("catalog.sqlite"))
    let changes: [CatalogChange] = [
      .putStoreObject(target: "a", path: "x", version: "1"), .putStoreObject(target: "a", path: "y", version: "2"),
      .putStoreObject(target: "b", path: "x", version: "3"),
    ]
    try catalog.commit(changes + [.deleteStoreObject(target: "a", path: "y")])
    #expect(try catalog.storeObjects(target: "a") == ["x": "1"])
    try catalog.commit([.deleteStoreObjects(target: "a")])
    #expect(try catalog.storeObjects(target: "a") == [:])
    #expect(try catalog.storeObjects(target: "b") == ["x": "3"])
  }
}
