import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// Volumes, snapshots and their backups, with played workers that keep the volumes' layers in mind.
struct VolumeTests {
  /// What the stages of volumes would keep on disk.
  final class Layers: Sendable {
    private let volumes = Mutex<[String: [String]]>([:])
    let busy = Mutex<[String: Int]>([:])
    let mostAtOnce = Mutex(0)

    func snapshots(_ folder: String) -> [String] { volumes.withLock { $0[folder] ?? [] } }
    func has(_ folder: String) -> Bool { volumes.withLock { $0[folder] != nil } }
    func set(_ folder: String, _ snapshots: [String]?) { volumes.withLock { $0[folder] = snapshots } }

    /// A task's work.
    func play(_ worker: FakeWorker, _ order: JobOrder) async {
      let params = order.pipeline.from[0].params
      guard let folder = params["folder"]?.string, let operation = params["operation"]?.string else {
        return await worker.succeed(order)
      }
      guard await worker.admitted() else { return }
      let now = busy.withLock { busy in
        busy[folder, default: 0] += 1
        return busy[folder]!
      }
      mostAtOnce.withLock { $0 = max($0, now) }
      try? await Task.sleep(for: .milliseconds(5))
      busy.withLock { $0[folder]! -= 1 }
      var snapshots = snapshots(folder)
      let name = params["name"]?.string ?? ""
      switch operation {
      case "create": snapshots = []
      case "snapshot": snapshots.append(name)
      case "delete-snapshot":
        guard snapshots.contains(name) else { return worker.say(.failed(Fault(.notFound, "no snapshot \(name)"))) }
        snapshots.removeAll { $0 == name }
      case "remove":
        guard has(folder) else { return worker.say(.failed(Fault(.notFound, "no folder"))) }
        set(folder, nil)
        return worker.say(.finished(JobResult()))
      default: break
      }
      set(folder, snapshots)
      worker.say(
        .record(
          stage: "volume-task", kind: "volume",
          value: [
            "size": params["size"] ?? .null, "actualSize": 4096,
            "chain": .array((["head"] + snapshots.reversed()).map { .string($0) }),
          ]))
      for (index, name) in snapshots.enumerated() {
        worker.say(
          .record(
            stage: "volume-task", kind: "snapshot",
            value: [
              "name": .string(name), "parent": .string(index > 0 ? snapshots[index - 1] : ""), "children": [],
              "created": "2026-01-01T00:00:00Z", "removed": false, "userCreated": true, "size": 512,
              "labels": params["labels"] ?? [:],
            ]))
      }
      worker.say(.finished(JobResult()))
    }
  }

  let layers = Layers()

  private func fixture(
    copy: @escaping FakeWorkers.Script = { await $0.succeed($1) },
    inspected: [String: JSONValue]? = nil
  ) async throws -> EngineFixture {
    let layers = layers
    let folder = TemporaryFolder("engine")
    try Self.putPlugin(in: folder)
    return try await EngineFixture(
      FakeWorkers(
        copy: copy,
        task: { worker, order in
          if order.pipeline.from[0].stage == "inspect-backup", let inspected {
            return await worker.succeed(order, inspected)
          }
          await layers.play(worker, order)
        }), folder: folder)
  }

  /// The played workers say that it has the stages of volumes.
  private static func putPlugin(in folder: TemporaryFolder) throws {
    try Folder.create(folder("plugins"))
    try Folder.writeDurably(folder("plugins/drover-stage-volume.so"), [])
  }

  private static func volume(_ name: String, image: String? = nil) -> JSONValue {
    var spec: [String: JSONValue] = ["size": "4194304"]
    if let image { spec["backingImage"] = .string(image) }
    return EngineFixture.manifest("Volume", name, spec)
  }

  private static func snapshot(_ name: String, of volume: String) -> JSONValue {
    EngineFixture.manifest("Snapshot", name, ["volume": .string(volume), "labels": ["k": "v"]])
  }

  private static func backup(
    _ name: String, of volume: String, snapshot: String? = nil, _ more: [String: JSONValue] = [:]
  ) -> JSONValue {
    var spec = more
    spec["volumeName"] = .string(volume)
    if let snapshot { spec["snapshotName"] = .string(snapshot) }
    return EngineFixture.manifest("Backup", name, spec)
  }

  private func object(_ fixture: EngineFixture, _ kind: ResourceKind, _ name: String) async throws -> Resource {
    try await fixture.engine.resource(ResourceKey(kind, name))
  }

  @discardableResult
  private func volume(_ fixture: EngineFixture, _ name: String, is robustness: String = "healthy") async throws
    -> Resource
  {
    try await eventually("volume \(name) is \(robustness)") {
      let volume = try await self.object(fixture, .volume, name)
      return volume.status["robustness"]?.string == robustness ? volume : nil
    }
  }

  @discardableResult
  private func isReady(_ fixture: EngineFixture, snapshot name: String) async throws -> Resource {
    try await eventually("snapshot \(name) is ready") {
      let snapshot = try await self.object(fixture, .snapshot, name)
      return snapshot.status["readyToUse"] == true ? snapshot : nil
    }
  }

  @discardableResult
  private func backup(_ fixture: EngineFixture, _ name: String, is state: String) async throws -> Resource {
    try await eventually("backup \(name) is \(state)") {
      let backup = try await self.object(fixture, .backup, name)
      return backup.status["state"]?.string == state ? backup : nil
    }
  }

  @Test func aVolumeOverAnImage() async throws {
    let fixture = try await fixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    // Before the image is there.
    #expect(try await fixture.apply(Self.volume("vol1", image: "parrot")).result == .created)
    let volume = try await volume(fixture, "vol1")
    let status = Volume.Status(volume.status)
    #expect(status.state == .detached && status.size == 4 << 20 && status.backingImage == "parrot")
    #expect(status.path == fixture.folder("state/volumes/vol1") && status.chain == ["head"])
    #expect(status.actualSize == 4096 && status.progress == 100)
    #expect(try await fixture.apply(Self.volume("vol1", image: "parrot")).result == .unchanged)
    let image = ResourceKey(.backingImage, "parrot")
    #expect(try await fixture.engine.describe(image).dependents == [ResourceKey(.volume, "vol1")])
    let fault = await fixture.fault { try await fixture.engine.delete(image, force: false, by: .daemon) }
    #expect(fault?.code == .inUse)
    #expect(await fixture.fault { try await fixture.apply(Self.volume("vol1")) }?.code == .conflict)
    #expect(await fixture.fault { try await fixture.apply(Self.volume("vol2", image: "none")) }?.code == .notFound)
    try await fixture.stop()
  }

  @Test func aVolumeThatCouldNotBeMade() async throws {
    let folder = TemporaryFolder("engine")
    try Self.putPlugin(in: folder)
    let fixture = try await EngineFixture(
      FakeWorkers(task: { worker, order in
        if order.pipeline.from[0].stage == "volume-task" {
          await worker.fail(Fault(.noSpace, "full", retry: .never))
        } else {
          await worker.succeed(order)
        }
      }), folder: folder)
    try await fixture.apply(Self.volume("vol1"))
    let volume = try await volume(fixture, "vol1", is: "faulted")
    #expect(volume.status["message"] == "full" && volume.status["state"] == "detached")
    let snapshot = await fixture.fault { try await fixture.apply(Self.snapshot("s1", of: "vol1")) }
    #expect(snapshot?.code == .conflict)
    try await fixture.stop()
  }

  @Test func withoutThePluginThereAreNone() async throws {
    let fixture = try await EngineFixture()
    let fault = await fixture.fault { try await fixture.apply(Self.volume("vol1")) }
    #expect(fault?.code == .unknownStage)
    #expect(try await fixture.engine.resources(.volume).isEmpty)
    try await fixture.stop()
  }

  @Test func snapshotsComeAndGo() async throws {
    let fixture = try await fixture()
    try await fixture.apply(Self.volume("vol1"))
    for name in ["s1", "s2", "s3"] { try await fixture.apply(Self.snapshot(name, of: "vol1")) }
    for name in ["s1", "s2", "s3"] { try await isReady(fixture, snapshot: name) }
    #expect(layers.mostAtOnce.withLock { $0 } == 1, "nothing else works on a volume that is being changed")
    let order = layers.snapshots(fixture.folder("state/volumes/vol1"))
    #expect(Set(order) == ["s1", "s2", "s3"])
    let last = Snapshot.Status(try await object(fixture, .snapshot, order[2]).status)
    #expect(last.parent == order[1] && last.size == 512 && last.userCreated)
    #expect(Volume.Status(try await object(fixture, .volume, "vol1").status).chain.count == 4)

    let job = try await fixture.engine.revert(volume: "vol1", to: "s1", by: .daemon)
    try await fixture.job(job.metadata.name, is: "succeeded")
    #expect(
      await fixture.fault { try await fixture.engine.revert(volume: "vol1", to: "s9", by: .daemon) }?.code == .notFound)

    _ = try await fixture.engine.delete(ResourceKey(.snapshot, "s2"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.snapshot, "s2"))
    #expect(!layers.snapshots(fixture.folder("state/volumes/vol1")).contains("s2"))
    // Of the same name in another volume.
    try await fixture.apply(Self.volume("vol2"))
    #expect(await fixture.fault { try await fixture.apply(Self.snapshot("s1", of: "vol2")) }?.code == .conflict)
    #expect(await fixture.fault { try await fixture.apply(Self.snapshot("s9", of: "vol9")) }?.code == .notFound)

    _ = try await fixture.engine.delete(ResourceKey(.volume, "vol1"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.volume, "vol1"))
    try await fixture.isGone(ResourceKey(.snapshot, "s1"))
    #expect(!layers.has(fixture.folder("state/volumes/vol1")))
    try await fixture.stop()
  }

  /// What a volume is found to have gets objects, and what it has no more loses them.
  @Test func theVolumeSaysWhatThereIs() async throws {
    let fixture = try await fixture()
    try await fixture.apply(Self.volume("vol1"))
    try await volume(fixture, "vol1")
    try await fixture.apply(Self.snapshot("s1", of: "vol1"))
    try await isReady(fixture, snapshot: "s1")
    layers.set(fixture.folder("state/volumes/vol1"), ["Foreign-1"])
    try await fixture.apply(Self.snapshot("s2", of: "vol1"))
    try await isReady(fixture, snapshot: "s2")
    try await fixture.isGone(ResourceKey(.snapshot, "s1"))
    let foreign = try await object(fixture, .snapshot, "foreign-1")
    #expect(foreign.spec["snapshotName"] == "Foreign-1" && foreign.spec["volume"] == "vol1")
    #expect(foreign.status["readyToUse"] == true)
    try await fixture.stop()
  }

  @Test func aBackupTakesItsImageAlong() async throws {
    let fixture = try await fixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.volume("vol1", image: "parrot"))
    try await volume(fixture, "vol1")
    try await fixture.apply(Self.backup("b1", of: "vol1", ["labels": ["k": "v"]]))
    let done = try await backup(fixture, "b1", is: "Completed")
    let status = Backup.Status(done.status)
    #expect(status.volumeName == "vol1" && status.snapshotName == "b1" && status.size == 2_097_152)
    #expect(status.labels["k"] == "v" && status.backupTargetName == "default" && !status.isIncremental)
    #expect(done.metadata.labels == ["backup-volume": "vol1", "backup-target": "default"])
    // The image's backup was there before.
    let imageBackup = try await fixture.backup("parrot", is: "Completed")
    #expect(imageBackup.spec["userCreated"] == true)
    let jobs = fixture.workers.orders.filter { $0.pipeline.to.last?.stage == "backup" }
    #expect(jobs.map { $0.pipeline.to[0].params["volume"] != nil } == [false, true])
    #expect(jobs[1].pipeline.to[0].params["backingImage"] == "parrot")
    let volume = Volume.Status(try await object(fixture, .volume, "vol1").status)
    #expect(volume.lastBackup == "b1" && volume.lastBackupAt != nil)

    // The next one builds upon it.
    try await fixture.apply(Self.snapshot("s2", of: "vol1"))
    try await fixture.apply(Self.backup("bb2", of: "vol1", snapshot: "s2"))
    #expect(Backup.Status(try await backup(fixture, "bb2", is: "Completed").status).isIncremental)
    let last = try #require(fixture.workers.orders.last { $0.pipeline.to.last?.stage == "backup" })
    #expect(last.pipeline.from[0].params["since"] == "b1" && last.pipeline.to[0].params["base"] == "b1")
    #expect(
      fixture.workers.orders.count { $0.pipeline.to.last?.params["name"] == "parrot" } == 2, "made, and backed up once")

    #expect(try await fixture.apply(Self.backup("bb2", of: "vol1", snapshot: "s2")).result == .unchanged)
    #expect(await fixture.fault { try await fixture.apply(Self.backup("b4", of: "vol9")) }?.code == .notFound)
    let missing = await fixture.fault { try await fixture.apply(Self.backup("b4", of: "vol1", snapshot: "s9")) }
    #expect(missing?.code == .notFound)
    try await fixture.stop()
  }

  @Test func theImagesBackupFails() async throws {
    let fixture = try await fixture(copy: { worker, order in
      if order.pipeline.to.last?.stage == "backup" {
        await worker.fail(Fault(.contentConflict, "it holds another image"))
      } else {
        await worker.succeed(order)
      }
    })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.volume("vol1", image: "parrot"))
    try await volume(fixture, "vol1")
    try await fixture.apply(Self.backup("b1", of: "vol1"))
    try await fixture.backup("parrot", is: "Error")
    let waiting = try await eventually("it says what it waits for") {
      let backup = try await self.object(fixture, .backup, "b1")
      return backup.status["error"]?.string?.contains("it holds another image") == true ? backup : nil
    }
    #expect(waiting.status["state"] == "Pending")
    try await fixture.stop()
  }

  @Test func aBaseThatCanNotBeUsed() async throws {
    let fixture = try await fixture(copy: { worker, order in
      if order.pipeline.to.last?.params["base"] != nil {
        await worker.fail(Fault(.baseUnusable, "it is gone"))
      } else {
        await worker.succeed(order)
      }
    })
    try await fixture.apply(Self.volume("vol1"))
    try await volume(fixture, "vol1")
    try await fixture.apply(Self.backup("b1", of: "vol1"))
    try await backup(fixture, "b1", is: "Completed")
    try await fixture.apply(Self.backup("b22", of: "vol1"))
    #expect(!Backup.Status(try await backup(fixture, "b22", is: "Completed").status).isIncremental)
    let attempts = fixture.workers.orders.filter { $0.pipeline.to.last?.params["name"] == "b22" && $0.mode == .run }
    #expect(attempts.map { $0.pipeline.to[0].params["base"] != nil } == [true, false])
    try await fixture.stop()
  }

  @Test func aRestoreBringsTheImage() async throws {
    let checksum = String(repeating: "ab", count: 64)
    let fixture = try await fixture(inspected: [
      "volumeSize": 4_194_304, "volumeBackingImageName": "parrot", "volumeBackingImageChecksum": .string(checksum),
      "snapshotName": "s1", "labels": ["k": "v"], "snapshotCreatedAt": "2026-01-01T00:00:00Z", "state": "Completed",
    ])
    let url = "file://\(fixture.folder("state/store"))?backup=b1&volume=vol0"
    let manifest = EngineFixture.manifest("Volume", "vol1", ["fromBackup": .string(url)])
    try await fixture.apply(manifest)
    let volume = try await volume(fixture, "vol1")
    let status = Volume.Status(volume.status)
    #expect(status.state == .detached && status.size == 4 << 20 && status.backingImage == "parrot")
    #expect(status.restoredFrom == url)
    let image = try await fixture.image("parrot", is: "ready")
    #expect(image.spec["sourceType"] == "restore" && image.spec["checksum"] == .string(checksum))
    let order = try #require(fixture.workers.orders.last { $0.pipeline.to.last?.stage == "volume" })
    #expect(order.pipeline.from[0].params["view"] == "blocks")
    #expect(order.pipeline.to[0].params["image"] == image.status["path"])
    let snapshot = Snapshot.Status(try await isReady(fixture, snapshot: "s1").status)
    #expect(snapshot.labels == ["k": "v"] && snapshot.creationTime == "2026-01-01T00:00:00Z")
    #expect(try await fixture.apply(manifest).result == .unchanged)
    try await fixture.stop()
  }

  @Test func aRestoreOverAnotherImage() async throws {
    let fixture = try await fixture(inspected: [
      "volumeSize": 4_194_304, "volumeBackingImageName": "parrot",
      "volumeBackingImageChecksum": .string(String(repeating: "cd", count: 64)), "state": "Completed",
    ])
    try await fixture.apply(EngineFixture.image("robin"))
    try await fixture.image("robin", is: "ready")
    let url = "file://\(fixture.folder("state/store"))?backup=b1&volume=vol0"
    var spec: [String: JSONValue] = ["fromBackup": .string(url), "backingImage": "robin"]
    let refusal = await fixture.fault { try await fixture.apply(EngineFixture.manifest("Volume", "vol1", spec)) }
    #expect(refusal?.code == .contentConflict && refusal?.code.exitCode == 5)
    #expect(try await fixture.engine.resources(.volume).isEmpty)
    spec["acceptBackingImage"] = true
    try await fixture.apply(EngineFixture.manifest("Volume", "vol1", spec))
    #expect(Volume.Status(try await volume(fixture, "vol1").status).backingImage == "robin")
    try await fixture.stop()
  }

  @Test func aVolumeIsKeptWhileItIsRead() async throws {
    let holds = Mutex(true)
    let fixture = try await fixture(copy: { worker, order in
      if order.pipeline.to.last?.stage == "backup", holds.withLock({ $0 }) {
        await worker.runUntilStopped()
      } else {
        await worker.succeed(order)
      }
    })
    try await fixture.apply(Self.volume("vol1"))
    try await volume(fixture, "vol1")
    try await fixture.apply(Self.backup("b1", of: "vol1"))
    try await backup(fixture, "b1", is: "InProgress")
    for key in [ResourceKey(.volume, "vol1"), ResourceKey(.snapshot, "b1")] {
      let fault = await fixture.fault { try await fixture.engine.delete(key, force: true, by: .daemon) }
      #expect(fault?.code == .inUse, "\(key)")
    }
    // What changes the volume waits for what reads it.
    try await fixture.apply(Self.snapshot("s2", of: "vol1"))
    let job = try await fixture.job(of: ResourceKey(.snapshot, "s2"))
    try await eventually("it waits") {
      try await fixture.engine.resource(ResourceKey(.job, job.metadata.name)).status["message"]?.string?.contains(
        "works on its volume") == true
    }
    holds.withLock { $0 = false }
    let running = try await fixture.job(of: ResourceKey(.backup, "b1"))
    _ = try await fixture.engine.cancel(job: running.metadata.name, by: .daemon)
    try await isReady(fixture, snapshot: "s2")
    try await fixture.stop()
  }

  @Test func anImageOfAVolume() async throws {
    let fixture = try await fixture()
    try await fixture.apply(Self.volume("vol1"))
    try await fixture.apply(
      EngineFixture.image("golden", "export-from-volume", ["volume-name": "vol1", "export-type": "raw"]))
    try await fixture.image("golden", is: "ready")
    let order = try #require(fixture.workers.orders.last { $0.pipeline.to.last?.stage == "clone" })
    #expect(order.pipeline.from[0].stage == "volume" && order.pipeline.from[0].params["view"] == "merged")
    try await fixture.stop()
  }

  /// After a restart everything is as it was.
  @Test func theCatalogKeepsThem() async throws {
    let (folder, workers, before) = try await made()
    let again = try await eventually("the lock is free") { try? await EngineFixture(workers, folder: folder) }
    for object in before { #expect(try await again.engine.resource(try ResourceKey(object)) == object) }
    _ = try await again.engine.delete(ResourceKey(.backup, "b1"), force: false, by: .daemon)
    try await again.isGone(ResourceKey(.backup, "b1"))
    try await again.stop()
  }

  private func made() async throws -> (TemporaryFolder, FakeWorkers, [Resource]) {
    let fixture = try await fixture()
    try await fixture.apply(Self.volume("vol1"))
    try await fixture.apply(Self.snapshot("s1", of: "vol1"))
    try await fixture.apply(Self.backup("b1", of: "vol1", snapshot: "s1"))
    let backup = try await backup(fixture, "b1", is: "Completed")
    let objects = [
      backup, try await object(fixture, .volume, "vol1"), try await object(fixture, .snapshot, "s1"),
    ]
    try await fixture.stop()
    return (fixture.folder, fixture.workers, objects)
  }
}
