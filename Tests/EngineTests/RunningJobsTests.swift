import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// An engine and its workers, from the outside: what becomes of a job, and what is said about it.
struct RunningJobsTests {
  private let refused = Fault(.network, "connection refused")

  @Test func anAppliedDownloadBecomesReady() async throws {
    let fixture = try await EngineFixture()
    let outcome = try await fixture.apply(EngineFixture.image("parrot"))
    #expect(outcome.result == .created)
    let image = try await fixture.image("parrot", is: "ready")
    let uuid = try #require(image.status["uuid"]?.string)
    #expect(uuid.count == 8)
    #expect(image.status["progress"] == 100)
    #expect(image.status["size"] == 1024)
    #expect(image.status["format"] == "raw")
    #expect(image.status["path"]?.string == fixture.folder("state/images/parrot-\(uuid)/backing"))
    let job = try await fixture.job(ofImage: "parrot")
    #expect(job.status["state"] == "succeeded")
    #expect(job.status["attempt"] == 1)
    #expect(job.status["progress"] == 100)
    let order = try #require(fixture.workers.orders.first)
    #expect(order.jobFolder == fixture.folder("state/jobs/\(job.metadata.name)"))
    #expect(order.pipeline.from.map(\.stage) == ["download"])
    try await fixture.stop()
  }

  @Test func eventsTellTheStory() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    var types: [String] = []
    var last: Int64 = 0
    for try await event in fixture.engine.events(since: 0, follow: false) {
      #expect(event.seq == last + 1)
      last = event.seq
      if event.name == "parrot" { types.append(event.type.rawValue) }
    }
    #expect(types == ["created", "job-started", "state", "job-succeeded", "state"])
    var rest: [Int64] = []
    for try await event in fixture.engine.events(since: last - 1, follow: false) { rest.append(event.seq) }
    #expect(rest.first == last)
    try await fixture.stop()
  }

  @Test func followedEventsComeAsTheyHappenAndEndWithTheEngine() async throws {
    let fixture = try await EngineFixture()
    let engine = fixture.engine
    let reader = Task {
      var names: [String] = []
      for try await event in engine.events(since: 0, follow: true) {
        names.append("\(event.name) \(event.type.rawValue)")
      }
      return names
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
    #expect(try await reader.value.contains("parrot job-succeeded"))
  }

  @Test func aTransientFailureIsTriedAgain() async throws {
    let refused = refused
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        if order.attempt < 3 { await worker.fail(refused) } else { await worker.succeed(order) }
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    #expect(try await fixture.job(ofImage: "parrot").status["attempt"] == 3)
    try await fixture.stop()
  }

  @Test func attemptsRunOut() async throws {
    let refused = refused
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.fail(refused) }, attempts: 3)
    try await fixture.apply(EngineFixture.image("parrot"))
    let image = try await fixture.image("parrot", is: "failed")
    #expect(image.status["message"] == "connection refused")
    #expect(fixture.workers.orders.map(\.attempt) == [1, 2, 3])
    try await fixture.stop()
  }

  @Test func aFatalFailureIsNotTriedAgain() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in await worker.fail(Fault(.checksumMismatch, "wrong sum")) })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "failed")
    let job = try await fixture.job(ofImage: "parrot")
    #expect(job.status["error"]?["code"] == "checksum-mismatch")
    #expect(job.status["error"]?["retry"] == "never")
    #expect(fixture.workers.orders.count == 1)
    try await fixture.stop()
  }

  @Test func aWorkerThatDiesIsContinuedFromItsCheckpoint() async throws {
    let checkpoint = Checkpoint(pipelineDigest: "d", identities: ["e"], offset: 512, tokens: ["dA=="])
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        guard await worker.admitted() else { return }
        if order.attempt == 1 {
          worker.say(.checkpoint(checkpoint))
          worker.end("signal 9")
        } else {
          worker.say(.finished(FakeWorker.result(order)))
        }
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    #expect(fixture.workers.orders.map(\.checkpoint) == [nil, checkpoint])
    let events = try await fixture.engine.describe(ResourceKey(.backingImage, "parrot")).events
    #expect(events.contains { $0.type == .jobRetrying && $0.message.contains("signal 9") })
    try await fixture.stop()
  }

  @Test func aWorkerThatCanNotBeStartedIsTriedAgain() async throws {
    let workers = FakeWorkers()
    workers.failLaunches(Fault(.internalError, "could not start", retry: .transient))
    let fixture = try await EngineFixture(workers)
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await eventually("an attempt failed") {
      try await fixture.engine.resource(ResourceKey(.job, id)).status["error"]?["message"] == "could not start"
    }
    workers.failLaunches(nil)
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
  }

  @Test func aWorkerThatSaysNothingIsKilledAndTheJobTriedAgain() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        guard await worker.admitted() else { return }
        if order.attempt > 1 { return worker.say(.finished(FakeWorker.result(order))) }
        while await worker.next() != nil {}
      }, configure: { $0.hangSeconds = 30 })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    #expect(fixture.workers.orders.map(\.mode).allSatisfy { $0 == .run })
    let events = try await fixture.engine.describe(ResourceKey(.backingImage, "parrot")).events
    #expect(events.contains { $0.type == .jobRetrying && $0.message.contains("the worker said nothing for 35 s") })
    try await fixture.stop()
  }

  /// A step that took an hour, since the host slept, is one step.
  @Test func silenceIsCountedInStepsThatWereWaitedFor() async throws {
    let session = WorkerSession(attempt: 1)
    let steps = Mutex<[Double]>([])
    let silences = Mutex<[Double]>([])
    let isOver = ChangeSignal()
    session.watch(silence: 40) { step in
      let count = steps.withLock { steps in
        steps.append(step)
        return steps.count
      }
      if count <= 20 && count.isMultiple(of: 7) { session.heard() }
    } silent: { seconds in
      silences.withLock { $0.append(seconds) }
      isOver.raise()
    }
    await isOver.wait(past: 0)
    // Heard in the 7th and the 14th: then eight of five seconds.
    #expect(steps.withLock { $0 } == Array(repeating: 5, count: 22))
    #expect(silences.withLock { $0 } == [40])
    session.end()
  }

  /// Its worker could not remove what the job had made: others try, and when none can the job and its events say what is
  /// left. It goes when the owner is deleted.
  @Test(arguments: [2, 1000]) func whatAFailureLeftIsRemovedOrTold(_ succeedingDiscard: Int) async throws {
    let discards = Mutex(0)
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in
        guard await worker.admitted() else { return }
        worker.say(.failed(Fault(.checksumMismatch, "wrong sum")))
      }, configure: { $0.backoffMaxSeconds = 2 })
    fixture.workers.discards { worker, _ in
      let number = discards.withLock { discards in
        discards += 1
        return discards
      }
      worker.say(
        number >= succeedingDiscard
          ? .finished(JobResult()) : .failed(Fault(.io, "removing /x.partial: input/output error")))
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    let job = try await fixture.job(id, is: "failed")
    let isLeft = succeedingDiscard > JobMachine.discardAttempts
    #expect(discards.withLock { $0 } == (isLeft ? JobMachine.discardAttempts : succeedingDiscard))
    #expect(job.status["error"]?["code"] == "checksum-mismatch")
    let text =
      "wrong sum"
      + (isLeft ? "; what it left behind could not be removed: removing /x.partial: input/output error" : "")
    #expect(job.status["error"]?["message"]?.string == text)
    #expect(try await fixture.image("parrot").status["message"]?.string == text)
    var messages: [String] = []
    for try await event in fixture.engine.events(since: 0, follow: false) where event.type == .jobFailed {
      messages.append(event.message)
    }
    #expect(messages == [text])
    #expect(await fixture.engine.machines[id]?.record.leftovers == isLeft)
    try await fixture.stop()
  }

  @Test func aCancelThatIsNotHeardEndsInAKillAndACleanUp() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in
        guard await worker.admitted() else { return }
        while await worker.next() != nil {}
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "starting")
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await eventually("it is admitted") { await fixture.engine.machines[id]?.record.leftovers == true }
    _ = try await fixture.engine.cancel(job: id, by: .daemon)
    try await fixture.job(id, is: "cancelled")
    #expect(fixture.workers.orders.map(\.mode) == [.run, .discard])
    #expect(fixture.workers.overlaps == [])
    #expect(try await fixture.image("parrot").status["state"] == "failed")
    #expect(try await fixture.image("parrot").status["message"] == "cancelled")
    _ = try await fixture.engine.retry(job: id, by: .daemon)
    try await fixture.job(id, is: "running")
    try await fixture.stop()
  }

  @Test func spaceThatIsNotThereFailsAtOnce() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, _ in
        _ = await worker.admitted(JobPlan(space: [.init(path: "/tmp", bytes: 1 << 60)]))
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "failed")
    #expect(try await fixture.job(ofImage: "parrot").status["error"]?["code"] == "no-space")
    try await fixture.stop()
  }

  @Test func pauseAndResume() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        if order.attempt == 1 { await worker.runUntilStopped() } else { await worker.succeed(order) }
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    try await fixture.job(id, is: "running")
    _ = try await fixture.engine.pause(job: id, by: .daemon)
    try await fixture.job(id, is: "paused")
    #expect(try await fixture.image("parrot").status["message"] == "paused")
    _ = try await fixture.engine.resume(job: id, by: .daemon)
    try await fixture.image("parrot", is: "ready")
    try await fixture.stop()
  }

  @Test func noMoreThanAllowedRunAtOnceAndTheOldestGoFirst() async throws {
    let workers = FakeWorkers()
    workers.copies { worker, order in
      guard await worker.admitted() else { return }
      // Each is at work until the next one is there, so two are whenever there is one to come.
      let own = workers.orders.firstIndex { $0.job == order.job } ?? 0
      while true {
        let seen = workers.ordered.generation
        if workers.orders.count > min(own + 1, 6) { break }
        await workers.ordered.wait(past: seen)
      }
      worker.say(.finished(FakeWorker.result(order)))
    }
    let fixture = try await EngineFixture(workers, maxJobs: 2)
    let names = (1...7).map { "image-\($0)" }
    for name in names { try await fixture.apply(EngineFixture.image(name)) }
    for name in names { try await fixture.image(name, is: "ready") }
    #expect(fixture.workers.mostAtOnce == 2)
    let started = fixture.workers.orders.compactMap { $0.pipeline.to.last?.params["name"]?.string }
    #expect(Array(started.prefix(2)).sorted() == ["image-1", "image-2"])
    #expect(started.count == 7)
    try await fixture.stop()
  }

  @Test func progressShowsAndNeverReachesAHundredBeforeTheEnd() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        guard await worker.admitted() else { return }
        worker.say(.progress(Job.Progress(phase: "committing", bytesDone: 1024, bytesTotal: 1024)))
        _ = await worker.next()
        worker.say(.stopped)
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    let image = try await fixture.image("parrot", is: "in-progress")
    #expect(image.status["progress"] == 99)
    let job = try await fixture.job(ofImage: "parrot")
    #expect(job.status["phase"] == "committing")
    #expect(job.status["bytesDone"] == 1024)
    try await fixture.stop()
    #expect(try await fixture.job(ofImage: "parrot").status["state"] == "pending")
  }

  @Test func theLogOfAJobIsKeptNumberedAndFollowed() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers { worker, order in
        guard await worker.admitted() else { return }
        for number in 1...3 { worker.say(.log(level: .info, message: "line \(number)")) }
        worker.say(.finished(FakeWorker.result(order)))
      })
    try await fixture.apply(EngineFixture.image("parrot"))
    let id = try await fixture.job(ofImage: "parrot").metadata.name
    var lines: [LogLine] = []
    for try await line in try await fixture.engine.jobLog(id, from: 0, follow: true) { lines.append(line) }
    #expect(lines.map(\.line) == Array(1...lines.count))
    #expect(lines.map(\.message).contains("line 3"))
    #expect(lines.last?.message == "succeeded")
    var rest: [String] = []
    for try await line in try await fixture.engine.jobLog(id, from: lines.count - 1, follow: false) {
      rest.append(line.message)
    }
    #expect(rest == ["succeeded"])
    await #expect(throws: Fault.self) { try await fixture.engine.jobLog("job-none", from: 0, follow: false) }
    try await fixture.stop()
  }

  @Test func shutdownTakesTheJobBackAndTheNextDaemonGoesOn() async throws {
    let checkpoint = Checkpoint(pipelineDigest: "d", identities: [], offset: 7, tokens: [])
    let folder = TemporaryFolder("engine")
    let workers = FakeWorkers { worker, order in
      if order.attempt == 1 {
        guard await worker.admitted() else { return }
        _ = await worker.next()
        worker.say(.checkpoint(checkpoint))
        worker.say(.stopped)
      } else {
        await worker.succeed(order)
      }
    }
    var first: EngineFixture? = try await EngineFixture(workers, folder: folder)
    try await first!.apply(EngineFixture.image("parrot"))
    let id = try await first!.job(ofImage: "parrot").metadata.name
    try await first!.job(id, is: "running")
    try await eventually("it is admitted") { await first!.engine.machines[id]?.record.leftovers == true }
    try await first!.stop()
    first = nil
    let second = try await eventually("the lock is free") { try? await EngineFixture(workers, folder: folder) }
    try await second.image("parrot", is: "ready")
    #expect(workers.orders(id).map(\.checkpoint) == [nil, checkpoint])
    try await second.stop()
  }

  @Test func aSecondDaemonIsRefusedAndTheHolderNamed() async throws {
    let fixture = try await EngineFixture(runs: false)
    let fault = await fixture.fault { try await EngineFixture(folder: fixture.folder, runs: false) }
    #expect(fault?.code == .conflict)
    #expect(fault?.message.contains("process \(ownProcess)") == true)
  }
}
