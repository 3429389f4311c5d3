import DroverModel
import TestKit
import Testing

@testable import Engine

struct JobQueueTests {
  private let queue = JobQueue(maxJobs: 2, maxJobsPerTarget: 1, maxTasks: 1)

  private func record(
    _ id: String, _ kind: Job.Kind = .download, owner: String? = nil, age: Double = 0, target: String? = nil,
    _ change: (inout JobRecord) -> Void = { _ in }
  ) -> JobRecord {
    var record = JobRecord(
      Job(
        id: id, kind: kind, owner: ResourceKey(.backingImage, owner ?? id), pipeline: Pipeline(from: [], to: []),
        target: target, createdAt: 1000 - age))
    change(&record)
    return record
  }

  private func choose(
    _ records: [JobRecord], busy: Set<String> = [], _ readiness: (JobRecord) -> JobQueue.Readiness = { _ in .ready }
  ) -> JobQueue.Choice {
    queue.choose(from: records, busy: busy, now: 2000, readiness: readiness)
  }

  @Test func oldestFirstUpToTheLimit() {
    #expect(choose([record("a", age: 1), record("b", age: 3), record("c", age: 2)]).start == ["b", "c"])
  }

  @Test func priorityGoesBeforeAge() {
    let urgent = record("a") { $0.priority = 1 }
    #expect(choose([record("b", age: 9), urgent, record("c", age: 5)]).start == ["a", "b"])
  }

  @Test func equalAgeGoesByIdentifier() {
    #expect(choose([record("c"), record("b"), record("a")]).start == ["a", "b"])
  }

  @Test func whatRunsTakesItsPlace() {
    let running = record("a") { $0.job.state = .running }
    #expect(choose([running, record("b"), record("c")], busy: ["a"]).start == ["b"])
  }

  @Test func aProcessOnItsWayOutStillCounts() {
    let done = record("a") { $0.job.state = .succeeded }
    #expect(choose([done, record("b"), record("c")], busy: ["a"]).start == ["b"])
    #expect(choose([done, record("b", owner: "a")], busy: ["a"]).start == [])
  }

  @Test func oneTargetDoesNotTakeAllPlaces() {
    let records = [
      record("a", .backup, age: 3, target: "t"), record("b", .backup, age: 2, target: "t"),
      record("c", .backup, age: 1, target: "u"),
    ]
    #expect(choose(records).start == ["a", "c"])
  }

  @Test func shortTasksHaveAPlaceOfTheirOwn() {
    let busy = ["a", "b"].map { id in record(id) { $0.job.state = .running } }
    let tasks = [record("p", .probe), record("q", .probe)]
    #expect(choose(busy + tasks, busy: ["a", "b"]).start == ["p"])
  }

  @Test func oneWriterAResource() {
    #expect(choose([record("a", owner: "x", age: 2), record("b", owner: "x", age: 1)]).start == ["a"])
    let saves = [record("c", .save, owner: "x"), record("d", .save, owner: "x")]
    #expect(choose(saves).start == ["c", "d"])
  }

  @Test func anOlderWriterGoesFirstEvenWhileItPauses() {
    let backingOff = record("a", owner: "x", age: 2) { $0.job.runAfter = 2500 }
    let held = record("h", owner: "y", age: 2) { $0.job.state = .paused }
    let choice = choose([backingOff, record("b", owner: "x"), held, record("c", owner: "y")])
    #expect(choice.start == [])
    #expect(choice.nextTime == 2500)
  }

  @Test func timeIsWaitedForUnlessTheClockWasSetBack() {
    var queue = queue
    queue.longestPauseSeconds = 600
    let records = [
      record("a") { $0.job.runAfter = 2100 }, record("b") { $0.job.runAfter = 2600 },
      record("c") { $0.job.runAfter = 99999 },
    ]
    let choice = queue.choose(from: records, busy: [], now: 2000) { _ in .ready }
    #expect(choice.start == ["c"])
    #expect(choice.nextTime == 2100)
  }

  @Test func whatIsNotReadyTakesNoPlace() {
    let fault = Fault(.conflict, "gone")
    let choice = choose(["a", "b", "c", "d"].map { record($0) }) { record in
      switch record.job.id {
      case "a": .waiting("for b")
      case "b": .failed(fault)
      default: .ready
      }
    }
    #expect(choice.start == ["c", "d"])
    #expect(choice.waiting == ["a": "for b"])
    #expect(choice.failed == ["b": fault])
  }

  @Test func aCleanUpIsNotAskedWhetherItIsReady() {
    let ending = record("a") { $0.ending = .cancelled }
    let choice = choose([ending]) { _ in .waiting("never") }
    #expect(choice.start == ["a"])
  }

  @Test func backoffDoublesUpToItsLimitAndSpreads() {
    let policy = RetryPolicy(attempts: 8, backoffMaxSeconds: 600, probeSeconds: 300)
    #expect((1...4).map { policy.backoff(failures: $0, random: 0) } == [0.5, 1, 2, 4])
    #expect(policy.backoff(failures: 1, random: 0.5) == 0.75)
    #expect(policy.backoff(failures: 11, random: 0) == 300)
    #expect(policy.backoff(failures: 5000, random: 0) == 300)
  }
}
