import ChildProtocol
import DroverModel
import LinuxSystem
import TestKit
import Testing

@testable import Engine

/// What the engine does beside jobs: status, plugins, history, its own end.
struct HouseTests {
  @Test func statusCountsAndNames() async throws {
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.runUntilStopped() }, maxJobs: 1)
    try await fixture.apply(EngineFixture.image("one"))
    try await fixture.apply(EngineFixture.image("two"))
    try await eventually("one runs") { try await fixture.engine.status().queue.running == 1 }
    let status = try await fixture.engine.status()
    #expect(status.queue == .init(pending: 1, running: 1, paused: 0, limit: 1))
    #expect(status.workers.map(\.attempt) == [1])
    #expect(status.targets.map(\.name) == ["default"])
    #expect(status.freeBytes > 0)
    try await fixture.stop()
  }

  @Test func pluginsAreAskedOnceUntilAFileChanges() async throws {
    let fixture = try await EngineFixture()
    try Folder.create(fixture.folder("plugins"))
    let file = fixture.folder("plugins/libdrover-stage-tape.so")
    try Folder.writeDurably(file, [1])
    // Its own questions come first.
    try await eventually("the target was looked at") {
      try await fixture.engine.status().targets.allSatisfy(\.available)
    }
    #expect(try await fixture.engine.plugins().map(\.path) == [file])
    let asked = fixture.workers.launches
    _ = try await fixture.engine.plugins()
    #expect(fixture.workers.launches == asked)
    try Folder.writeDurably(file, [1, 2])
    _ = try await fixture.engine.plugins()
    // A look at the target may fall between.
    #expect(fixture.workers.launches > asked)
    let missing = await fixture.fault { try await fixture.engine.inspectPlugin("/nonexistent.so") }
    #expect(missing?.code == .notFound)
    let relative = await fixture.fault { try await fixture.engine.inspectPlugin("x.so") }
    #expect(relative?.code == .invalid)
    try await fixture.stop()
  }

  @Test func aBackupIsInspectedWithoutAJob() async throws {
    let workers = FakeWorkers(task: { worker, order in await worker.succeed(order, ["checksum": "ab"]) })
    let fixture = try await EngineFixture(workers)
    let answer = try await fixture.engine.inspectBackup(url: "file:///srv?backingImage=parrot", by: .daemon)
    #expect(answer["checksum"] == "ab")
    #expect(try await fixture.engine.resources(.job).isEmpty)
    workers.tasks { worker, _ in worker.end("signal 6") }
    let died = await fixture.fault {
      try await fixture.engine.inspectBackup(url: "file:///srv?backingImage=parrot", by: .daemon)
    }
    #expect(died?.code == .workerDied)
    try await eventually("nothing is left") { try Folder.list(fixture.folder("state/jobs")).isEmpty }
    try await fixture.stop()
  }

  @Test func oldJobsAreForgottenButNotTheLastOfAnObject() async throws {
    let fixture = try await EngineFixture(configure: { $0.jobHistory = 2 })
    for number in 1...5 { try await fixture.apply(EngineFixture.image("image-\(number)")) }
    for number in 1...5 { try await fixture.image("image-\(number)", is: "ready") }
    for number in 1...4 {
      _ = try await fixture.engine.delete(ResourceKey(.backingImage, "image-\(number)"), force: false, by: .daemon)
    }
    try await eventually("the oldest are forgotten") {
      let jobs = try await fixture.engine.resources(.job)
      return try jobs.count == 3 && Folder.list(fixture.folder("state/jobs")).count == 3
    }
    #expect(try await fixture.job(ofImage: "image-5").status["state"] == "succeeded")
    try await fixture.stop()
  }

  @Test func theFolderOfAJobThatIsOverIsCleaned() async throws {
    let folder = TemporaryFolder("engine")
    let workers = FakeWorkers { worker, order in
      try? Folder.writeDurably("\(order.jobFolder)/note", [1])
      try? Folder.create("\(order.jobFolder)/more")
      try? Folder.writeDurably("\(order.jobFolder)/more/note", [1])
      if order.pipeline.to.last?.params["name"] == "failing" {
        await worker.fail(Fault(.network, "connection refused"))
      } else {
        await worker.succeed(order)
      }
    }
    var first: EngineFixture? = try await EngineFixture(workers, folder: folder, attempts: 2)
    for name in ["parrot", "failing"] { try await first!.apply(EngineFixture.image(name)) }
    try await first!.image("parrot", is: "ready")
    try await first!.image("failing", is: "failed")
    let id = try await first!.job(ofImage: "parrot").metadata.name
    let failed = try await first!.job(ofImage: "failing").metadata.name
    let jobs = folder("state/jobs")
    try await eventually("it is cleaned") { try Folder.list("\(jobs)/\(id)").sorted() == ["lock", "log"] }
    try await first!.stop()
    first = nil
    // What a daemon that died did not come to, while a worker of its still ends.
    try Folder.writeDurably("\(jobs)/\(id)/note", [1])
    var lock: OpenFile? = try OpenFile.open("\(jobs)/\(id)/lock", .readWrite)
    #expect(try lock!.tryLockExclusive())
    let second = try await eventually("the lock is free") { try? await EngineFixture(workers, folder: folder) }
    try await eventually("it was looked at") {
      await second.engine.sweepJobFolders()
      return await second.engine.unswept == [id]
    }
    #expect(try Folder.list("\(jobs)/\(id)").contains("note"))
    lock = nil
    try await eventually("it is cleaned") { try Folder.list("\(jobs)/\(id)").sorted() == ["lock", "log"] }
    // One that ran out of attempts can go on by hand with what it has.
    #expect(try Folder.list("\(jobs)/\(failed)").contains("note"))
    try await second.stop()
  }

  @Test func theEndDoesNotWaitForAWorkerThatHangs() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in
        guard await worker.admitted() else { return }
        while await worker.next() != nil {}
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await fixture.job(id, is: "running")
    try await fixture.stop()
    #expect(try await fixture.engine.resource(ResourceKey(.job, id)).status["state"] == "pending")
    let late = await fixture.fault { try await fixture.apply(EngineFixture.image("late")) }
    #expect(late?.code == .conflict)
  }

  @Test func cancellingRunStopsTheWorkersToo() async throws {
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.runUntilStopped() }, runs: false)
    let engine = fixture.engine
    let running = Task { try await engine.run() }
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await fixture.job(id, is: "running")
    running.cancel()
    try await running.value
    #expect(try await engine.resource(ResourceKey(.job, id)).status["state"] == "pending")
  }

  @Test func describeShowsJobsEventsAndDependents() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    fixture.workers.copies { worker, _ in await worker.runUntilStopped() }
    try await fixture.apply(EngineFixture.backup("parrot"))
    let key = ResourceKey(.backingImage, "parrot")
    let description = try await fixture.engine.describe(key)
    #expect(description.dependents == [ResourceKey(.backupBackingImage, "parrot")])
    #expect(description.jobs.map { $0.status["type"] } == ["download"])
    #expect(description.events.first?.message == "created by uid 1000 (pid 7)")
    let job = try await fixture.engine.describe(ResourceKey(.job, description.jobs[0].metadata.name))
    #expect(job.events.map(\.type).contains(.jobSucceeded))
    try await fixture.stop()
  }

  @Test func aJobThatWaitsForAChangeGoesAtOnceWhenRetried() async throws {
    let mended = ChangeSignal()
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        if mended.generation > 0 {
          await worker.succeed(order)
        } else {
          await worker.fail(Fault(.credentialsRefused, "401"))
        }
      }, configure: { $0.probeSeconds = 1e6 })
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await eventually("it waits") { await fixture.engine.machines[id]?.record.waitsForChange == true }
    let waiting = try await fixture.image("parrot")
    #expect(waiting.status["message"] == "waits for a change: 401")
    mended.raise()
    _ = try await fixture.engine.retry(job: id, by: .daemon)
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
  }

  @Test func aJobThatWaitsForAChangeLooksByItselfNowAndThen() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        if order.attempt > 2 {
          await worker.succeed(order)
        } else {
          await worker.fail(Fault(.credentialsRefused, "401"))
        }
      }, attempts: 1, configure: { $0.probeSeconds = 5 })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
  }

  @Test func aDryRunSaysThatThereIsNoSpace() async throws {
    let workers = FakeWorkers()
    workers.plans { worker, _ in
      worker.say(.planned(JobPlan(space: [.init(path: "/tmp", bytes: 1 << 60)])))
    }
    let fixture = try await EngineFixture(workers)
    let fault = await fixture.fault { try await fixture.apply(EngineFixture.image("parrot"), dryRun: true) }
    #expect(fault?.code == .noSpace)
    try await fixture.stop()
  }
}
