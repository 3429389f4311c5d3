import ChildProtocol
import DroverModel
import LinuxSystem
import TestKit
import Testing

@testable import Engine

/// Applying and deleting: what is made, changed, refused, and what goes.
struct ResourceTests {
  private let store = "file:///srv/backups"

  // MARK: Apply

  @Test func theDefaultTargetIsThereAndLookedAt() async throws {
    let fixture = try await EngineFixture()
    let key = ResourceKey(.backupTarget, "default")
    try await eventually("it is available") { try await fixture.engine.resource(key).status["available"] == true }
    let target = try await fixture.engine.resource(key)
    #expect(target.spec["backupTargetURL"]?.string == "file://" + fixture.folder("state/store"))
    let fault = await fixture.fault { try await fixture.engine.delete(key, force: true, by: .daemon) }
    #expect(fault?.code == .conflict)
    try await fixture.stop()
  }

  @Test func applyingTwiceChangesNothing() async throws {
    let fixture = try await EngineFixture()
    let manifest = EngineFixture.image("parrot")
    #expect(try await fixture.apply(manifest).result == .created)
    #expect(try await fixture.apply(manifest).result == .unchanged)
    try await fixture.image("parrot", is: "ready")
    #expect(try await fixture.apply(manifest).result == .unchanged)
    #expect(fixture.workers.orders.count == 1)
    #expect(try await fixture.image("parrot").metadata.generation == 1)
    try await fixture.stop()
  }

  @Test func labelsMayChangeAndTheSourceMayNot() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    var labelled = try #require(EngineFixture.image("parrot").object)
    labelled["metadata"] = ["name": "parrot", "labels": ["os": "linux"]]
    #expect(try await fixture.apply(.object(labelled)).result == .configured)
    #expect(try await fixture.image("parrot").metadata.generation == 2)
    let found = try await fixture.engine.resources(.backingImage, labels: ["os": "linux"])
    #expect(found.map(\.metadata.name) == ["parrot"])
    let other = EngineFixture.image("parrot", "download", ["url": "http://127.0.0.1/other.raw"])
    #expect(await fixture.fault { try await fixture.apply(other) }?.code == .conflict)
    #expect(fixture.workers.orders.count == 1)
    try await fixture.stop()
  }

  @Test func aCorrectedManifestOfAFailedImageStartsOver() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        let url = order.pipeline.from.first?.params["url"]?.string
        if url == "http://127.0.0.1/wrong.raw" {
          await worker.fail(Fault(.notFound, "404"))
        } else {
          await worker.succeed(order)
        }
      })
    let wrong = EngineFixture.image("parrot", "download", ["url": "http://127.0.0.1/wrong.raw"])
    try await fixture.apply(wrong)
    let failed = try await fixture.image("parrot", is: "failed")
    #expect(try await fixture.apply(wrong).result == .unchanged)
    let old = try await fixture.job(ofImage: "parrot").metadata.name
    #expect(try await fixture.apply(EngineFixture.image("parrot")).result == .configured)
    let ready = try await fixture.image("parrot", is: "ready")
    #expect(ready.status["uuid"] == failed.status["uuid"])
    // The older job would write over what the newer one made.
    #expect(await fixture.fault { try await fixture.engine.retry(job: old, by: .daemon) }?.code == .conflict)
    try await fixture.stop()
  }

  @Test func aDryRunPlansAndChangesNothing() async throws {
    let fixture = try await EngineFixture()
    let outcome = try await fixture.apply(EngineFixture.image("parrot"), dryRun: true)
    #expect(outcome.result == .created)
    #expect(outcome.plan?.size == 512)
    #expect(await fixture.fault { try await fixture.image("parrot") }?.code == .notFound)
    #expect(fixture.workers.orders.isEmpty)
    try await eventually("nothing is left") { try Folder.list(fixture.folder("state/jobs")).isEmpty }
    try await fixture.stop()
  }

  @Test func anUnknownSourceTypeNamesTheKnownOnes() async throws {
    let fixture = try await EngineFixture()
    try Folder.create(fixture.folder("plugins"))
    try Folder.writeDurably(fixture.folder("plugins/libdrover-stage-tape.so"), Array("x".utf8))
    let fault = await fixture.fault { try await fixture.apply(EngineFixture.image("parrot", "tap", [:])) }
    #expect(fault?.code == .unknownStage)
    #expect(fault?.hint == "there are tape")
    #expect(try await fixture.apply(EngineFixture.image("parrot", "tape", ["reel": "7"])).result == .created)
    try await fixture.image("parrot", is: "ready")
    #expect(fixture.workers.orders.first?.pipeline.from.first?.params["reel"] == "7")
    try await fixture.stop()
  }

  // MARK: One after the other

  @Test func aCloneWaitsForItsSourceAndSaysSo() async throws {
    let gate = ChangeSignal()
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        if order.pipeline.from.first?.stage == "download" { await gate.wait(past: 0) }
        await worker.succeed(order)
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.clone("copy", of: "parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    let copy = try await fixture.image("copy")
    #expect(copy.status["state"] == "pending")
    #expect(copy.status["message"]?.string?.hasPrefix("waiting for backingimage/parrot") == true)
    let inUse = await fixture.fault {
      try await fixture.engine.delete(ResourceKey(.backingImage, "parrot"), force: false, by: .daemon)
    }
    #expect(inUse?.code == .inUse)
    #expect(inUse?.message.contains("backingimage/copy") == true)
    #expect(inUse?.message.contains("backupbackingimage/parrot") == true)
    gate.raise()
    let source = try await fixture.image("parrot", is: "ready")
    try await fixture.image("copy", is: "ready")
    let backup = try await fixture.backup("parrot", is: "Completed")
    #expect(backup.status["url"]?.string == "file://" + fixture.folder("state/store") + "?backingImage=parrot")
    #expect(backup.status["labels"]?["usecase"] == "test")
    let clone = fixture.workers.orders.first { $0.pipeline.from.first?.stage == "clone" }
    #expect(clone?.pipeline.from.first?.params["path"] == source.status["path"])
    try await fixture.stop()
  }

  @Test func aCloneFailsWithItsSource() async throws {
    let gate = ChangeSignal()
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in
        await gate.wait(past: 0)
        await worker.fail(Fault(.notFound, "404"))
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.clone("copy", of: "parrot"))
    gate.raise()
    try await fixture.image("parrot", is: "failed")
    let copy = try await fixture.image("copy", is: "failed")
    #expect(copy.status["message"]?.string?.contains("404") == true)
    try await fixture.stop()
  }

  @Test func aCloneOfNothingIsRefused() async throws {
    let fixture = try await EngineFixture()
    let fault = await fixture.fault { try await fixture.apply(EngineFixture.clone("copy", of: "ghost")) }
    #expect(fault?.code == .notFound)
    #expect(await fixture.fault { try await fixture.apply(EngineFixture.backup("ghost")) }?.code == .notFound)
    try await fixture.stop()
  }

  @Test func aWholeManifestEndsWell() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.clone("parrot-cloned", of: "parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    let url = "file://" + fixture.folder("state/store") + "?backingImage=parrot"
    try await fixture.apply(
      EngineFixture.image("parrot-restore", "restore", ["backup-url": .string(url), "concurrent-limit": "2"]))
    try await fixture.image("parrot-cloned", is: "ready")
    try await fixture.image("parrot-restore", is: "ready")
    let restore = fixture.workers.orders.first { $0.pipeline.from.first?.stage == "restore" }
    #expect(restore?.pipeline.concurrency == 2)
    try await fixture.stop()
  }

  // MARK: Backups

  @Test func aRecordThatWasSyncedStartsNoBackup() async throws {
    let workers = FakeWorkers(
      task: { worker, order in
        await worker.succeed(
          order,
          order.pipeline.from[0].stage == "inspect-backup"
            ? ["url": "file:///x?backingImage=parrot", "size": 4096, "state": "Completed", "labels": ["a": "b"]] : [:])
      })
    let fixture = try await EngineFixture(workers)
    try await fixture.apply(EngineFixture.backup("parrot", created: false))
    let backup = try await fixture.backup("parrot", is: "Completed")
    #expect(backup.status["size"] == 4096)
    #expect(backup.status["labels"]?["a"] == "b")
    #expect(!workers.orders.contains { $0.pipeline.to.last?.stage == "backup" })
    try await fixture.stop()
  }

  @Test func aStoreHasOneBackupAnImage() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    let fault = await fixture.fault { try await fixture.apply(EngineFixture.backup("second", of: "parrot")) }
    #expect(fault?.code == .conflict)
    try await fixture.apply(EngineFixture.target("other", store))
    #expect(
      try await fixture.apply(EngineFixture.backup("second", of: "parrot", target: "other")).result == .created)
    try await fixture.backup("second", is: "Completed")
    try await fixture.stop()
  }

  @Test func anUnreachableTargetHoldsItsJobsUntilItIsThere() async throws {
    let isThere = ChangeSignal()
    let gone = Fault(.targetUnreachable, "no such folder")
    let answer: FakeWorkers.Script = { worker, order in
      if isThere.generation > 0 { await worker.succeed(order) } else { await worker.fail(gone) }
    }
    let fixture = try await EngineFixture(
      FakeWorkers(
        copy: { worker, order in
          if order.pipeline.to.last?.stage == "backup" {
            await answer(worker, order)
          } else {
            await worker.succeed(order)
          }
        }, task: answer), configure: { $0.probeSeconds = 1e6 })
    try await fixture.apply(EngineFixture.target("other", store))
    let key = ResourceKey(.backupTarget, "other")
    try await eventually("its condition is known") {
      let status = BackupTarget.Status(try await fixture.engine.resource(key).status)
      return status.conditions.first?.reason == "target-unreachable" && !status.available
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "other"))
    let backup = try await eventually("the backup waits") {
      let backup = try await fixture.backup("parrot")
      return backup.status["error"]?.string?.contains("waits for a change") == true ? backup : nil
    }
    #expect(backup.status["state"] == "Pending")
    isThere.raise()
    #expect(try await fixture.apply(EngineFixture.target("other", store)).result == .unchanged)
    try await fixture.backup("parrot", is: "Completed")
    try await eventually("the target is available") {
      try await fixture.engine.resource(key).status["available"] == true
    }
    try await fixture.stop()
  }

  // MARK: Delete

  @Test func deletingAnImageRemovesItsFolder() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    let image = try await fixture.image("parrot", is: "ready")
    let folder = Folder.parent(of: try #require(image.status["path"]?.string))
    #expect(try Folder.list(folder) == ["backing"])
    let key = ResourceKey(.backingImage, "parrot")
    _ = try await fixture.engine.delete(key, force: false, by: .daemon)
    try await fixture.isGone(key)
    #expect(try Folder.list(fixture.folder("state/images")).isEmpty)
    #expect(await fixture.fault { try await fixture.engine.delete(key, force: false, by: .daemon) }?.code == .notFound)
    #expect(try await fixture.apply(EngineFixture.image("parrot")).result == .created)
    let again = try await fixture.image("parrot", is: "ready")
    #expect(again.status["uuid"] != image.status["uuid"])
    #expect(try await fixture.engine.describe(key).jobs.count == 1)
    try await fixture.stop()
  }

  @Test func deletingAnImageCancelsItsJob() async throws {
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.runUntilStopped() })
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await fixture.job(id, is: "running")
    let key = ResourceKey(.backingImage, "parrot")
    // Nothing has to go from a store, so there is no job to wait for.
    #expect(try await fixture.engine.delete(key, force: false, by: .daemon) == nil)
    try await fixture.isGone(key)
    #expect(try await fixture.engine.resource(ResourceKey(.job, id)).status["state"] == "cancelled")
    try await fixture.stop()
  }

  @Test func deletingABackupRemovesItFromTheStoreFirst() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    try await fixture.backup("parrot", is: "Completed")
    let key = ResourceKey(.backupBackingImage, "parrot")
    let job = try #require(try await fixture.engine.delete(key, force: false, by: .daemon))
    #expect(job.status["type"] == "delete-backup")
    try await fixture.isGone(key)
    try await fixture.job(job.metadata.name, is: "succeeded")
    let order = try #require(fixture.workers.orders(job.metadata.name).first)
    #expect(order.pipeline.from.map(\.stage) == ["delete-backup"])
    try await fixture.stop()
  }

  @Test func aBackupThatCanNotBeDeletedStays() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    try await fixture.backup("parrot", is: "Completed")
    fixture.workers.tasks { worker, _ in await worker.fail(Fault(.notPermitted, "read-only")) }
    let key = ResourceKey(.backupBackingImage, "parrot")
    let job = try #require(try await fixture.engine.delete(key, force: false, by: .daemon))
    try await fixture.job(job.metadata.name, is: "failed")
    let backup = try await fixture.backup("parrot")
    #expect(backup.status["error"] == "read-only")
    #expect(backup.status["deleting"] == nil)
    fixture.workers.tasks { worker, _ in await worker.fail(Fault(.notFound, "not in the store")) }
    _ = try await fixture.engine.delete(key, force: false, by: .daemon)
    try await fixture.isGone(key)
    try await fixture.stop()
  }

  @Test func aTargetWithBackupsStaysUnlessForced() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.target("other", store))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "other"))
    try await fixture.backup("parrot", is: "Completed")
    let key = ResourceKey(.backupTarget, "other")
    let fault = await fixture.fault { try await fixture.engine.delete(key, force: false, by: .daemon) }
    #expect(fault?.code == .inUse)
    let before = fixture.workers.orders.count
    _ = try await fixture.engine.delete(key, force: true, by: .daemon)
    try await fixture.isGone(key)
    try await fixture.isGone(ResourceKey(.backupBackingImage, "parrot"))
    #expect(fixture.workers.orders.count == before)
    try await fixture.stop()
  }

  @Test func aDeletionGoesOnAfterARestart() async throws {
    let folder = TemporaryFolder("engine")
    let workers = FakeWorkers()
    var first: EngineFixture? = try await EngineFixture(workers, folder: folder)
    try await first!.apply(EngineFixture.image("parrot"))
    let image = try await first!.image("parrot", is: "ready")
    let path = try #require(image.status["path"]?.string)
    try await first!.stop()
    let key = ResourceKey(.backingImage, "parrot")
    // As a crash right after the first commit of a deletion leaves it.
    let catalog = first!.engine.catalog
    var record = try #require(try catalog.load().resources.first { $0.key == key })
    record.deleting = true
    try catalog.commit([.putResource(record)])
    first = nil
    let second = try await eventually("the lock is free") { try? await EngineFixture(workers, folder: folder) }
    try await second.isGone(key)
    #expect(try FileStatus.of(Folder.parent(of: path)) == nil)
    try await second.stop()
  }

  @Test func anImageWhoseFileIsGoneSaysSoAndRecovers() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    let path = try #require(try await fixture.image("parrot", is: "ready").status["path"]?.string)
    try Folder.remove(file: path)
    let image = try await fixture.image("parrot", is: "unknown")
    #expect(image.status["message"]?.string == "\(path) is not there")
    try Folder.writeDurably(path, [UInt8](repeating: 0, count: 1024))
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
  }
}
