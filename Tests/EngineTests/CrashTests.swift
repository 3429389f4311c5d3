import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// A catalog whose disk goes away at the nth commit, before or right after it took effect, and stays away.
final class FailingCatalog: CatalogStore {
  private let catalog: any CatalogStore
  private let counter: CommitCounter

  func sealedValues(of secret: SecretReference) throws -> [SealedValue] { try catalog.sealedValues(of: secret) }
  func holdsSecrets() throws -> Bool { try catalog.holdsSecrets() }
  func storeObjects(target: String) throws -> [String: String] { try catalog.storeObjects(target: target) }

  init(_ catalog: any CatalogStore, _ counter: CommitCounter) {
    self.catalog = catalog
    self.counter = counter
  }

  func commit(_ changes: [CatalogChange]) throws {
    guard !changes.isEmpty else { return }
    let turn = counter.next()
    switch turn {
    case .goesOn: try catalog.commit(changes)
    case .tookEffect:
      try catalog.commit(changes)
      throw Fault(.internalError, "the disk is gone")
    case .isGone: throw Fault(.internalError, "the disk is gone")
    }
  }

  func load() throws -> (resources: [ResourceRecord], jobs: [JobRecord]) { try catalog.load() }
  func decisions() throws -> [DecisionRecord] { try catalog.decisions() }
  func checkpoint(job: String) throws -> Checkpoint? { try catalog.checkpoint(job: job) }
  func events(after seq: Int64, limit: Int) throws -> [Event] { try catalog.events(after: seq, limit: limit) }
  func events(about subject: ResourceKey, jobs: [String], limit: Int) throws -> [Event] {
    try catalog.events(about: subject, jobs: jobs, limit: limit)
  }
}

final class CommitCounter: Sendable {
  enum Turn { case goesOn, tookEffect, isGone }
  private let state: Mutex<(count: Int, fails: Int, tookEffect: Bool)>

  /// Counts from here on.
  func start(failingAt number: Int) {
    state.withLock { state in
      state.count = 0
      state.fails = number
    }
  }

  /// - Parameter fails: Number of the commit, from 1; `Int.max` for none.
  init(fails: Int, tookEffect: Bool) { state = Mutex((0, fails, tookEffect)) }

  func next() -> Turn {
    state.withLock { state in
      state.count += 1
      if state.count < state.fails { return .goesOn }
      return state.count == state.fails && state.tookEffect ? .tookEffect : .isGone
    }
  }

  var hasFailed: Bool { state.withLock { $0.count >= $0.fails } }
  func mend() { state.withLock { $0.fails = .max } }
}

struct CrashTests {
  /// An image, its clone and its backup, with a failure and a checkpoint on the way. Ends when all is well, or the disk
  /// is gone.
  private func scenario(_ fixture: EngineFixture, _ counter: CommitCounter) async -> [String] {
    var taken: [String] = []
    let manifests = [
      "parrot": EngineFixture.image("parrot"), "copy": EngineFixture.clone("copy", of: "parrot"),
      "backup": EngineFixture.backup("parrot"),
    ]
    for name in ["parrot", "copy", "backup"] {
      do {
        try await fixture.apply(manifests[name]!)
        taken.append(name)
      } catch {}
    }
    do {
      try await eventually("the end of the scenario") {
        if counter.hasFailed { return true }
        let copy = try await fixture.image("copy")
        let backup = try await fixture.backup("parrot")
        return copy.status["state"] == "ready" && backup.status["state"] == "Completed"
      }
    } catch { Issue.record(error) }
    return taken
  }

  private func workers() -> FakeWorkers {
    FakeWorkers { worker, order in
      guard await worker.admitted() else { return }
      if order.attempt == 1 {
        worker.say(.checkpoint(Checkpoint(pipelineDigest: "d", identities: [], offset: 1, tokens: [])))
        worker.say(.failed(Fault(.network, "cut")))
      } else {
        worker.say(.finished(FakeWorker.result(order)))
      }
    }
  }

  /// The daemon dies at every commit in turn. What it had answered for is there afterwards, goes on, and ends well, and
  /// no job ever has two workers.
  @Test(arguments: [false, true]) func everyCommitMayBeTheLast(tookEffect: Bool) async throws {
    var crashes = 0
    for fails in 1... {
      let folder = TemporaryFolder("crash")
      let counter = CommitCounter(fails: fails, tookEffect: tookEffect)
      let workers = workers()
      var first: EngineFixture?
      do {
        first = try await EngineFixture(
          workers, folder: folder, catalog: { FailingCatalog(try Catalog(path: $0), counter) },
          configure: { $0.shutdownSeconds = 1 })
      } catch { #expect(counter.hasFailed) }
      var taken: [String] = []
      if let first { taken = await scenario(first, counter) }
      let crashed = counter.hasFailed
      workers.die()
      if let first {
        await first.engine.shutDown()
        try? await first.stop()
      }
      first = nil
      #expect(workers.overlaps == [])
      guard crashed else {
        #expect(taken.count == 3)
        break
      }
      crashes += 1

      let later = self.workers()
      let second = try await eventually("the lock is free") { try? await EngineFixture(later, folder: folder) }
      for name in taken {
        switch name {
        case "parrot": try await second.image("parrot", is: "ready")
        case "copy": try await second.image("copy", is: "ready")
        default: try await second.backup("parrot", is: "Completed")
        }
      }
      #expect(later.overlaps == [])
      try await second.stop()
    }
    #expect(crashes > 15)
  }

  /// The disk is full for a while: nothing is lost, and the daemon goes on by itself.
  @Test func aCatalogThatCanNotBeWrittenForAWhileHoldsUpAndLosesNothing() async throws {
    for fails in [3, 6, 9, 12] {
      let counter = CommitCounter(fails: fails, tookEffect: false)
      let workers = workers()
      let fixture = try await EngineFixture(workers) { FailingCatalog(try Catalog(path: $0), counter) }
      let taken = await scenario(fixture, counter)
      #expect(counter.hasFailed)
      counter.mend()
      if !taken.contains("parrot") { try await fixture.apply(EngineFixture.image("parrot")) }
      try await fixture.image("parrot", is: "ready")
      #expect(workers.overlaps == [])
      try await fixture.stop()
    }
  }

  /// The clock is set back by a day while a job pauses between two attempts, and another one starts: neither waits for
  /// the day to pass again, and what they have promised of the disk is given back.
  @Test func aClockThatIsSetBackHoldsNothingUp() async throws {
    let setBack = Mutex(0.0)
    let workers = FakeWorkers { worker, order in
      let need = JobPlan(space: [JobPlan.Space(path: "/tmp", bytes: 4096)])
      guard await worker.admitted(need) else { return }
      if order.attempt == 1 {
        setBack.withLock { $0 = 86400 }
        worker.say(.failed(Fault(.network, "cut")))
      } else {
        worker.say(.finished(FakeWorker.result(order)))
      }
    }
    let fixture = try await EngineFixture(workers, setBack: { setBack.withLock { $0 } })
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    setBack.withLock { $0 = 2 * 86400 }
    try await fixture.apply(EngineFixture.clone("copy", of: "parrot"))
    try await fixture.image("copy", is: "ready")
    try await eventually("nothing is reserved") { try await fixture.engine.status().reservedBytes == 0 }
    try await fixture.stop()
  }
}
