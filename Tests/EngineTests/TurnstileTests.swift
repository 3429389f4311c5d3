import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Engine

struct TurnstileTests {
  private final class Record: Sendable {
    private let numbers = Mutex<[Int]>([])
    var all: [Int] { numbers.withLock { $0 } }
    func add(_ number: Int) { numbers.withLock { $0.append(number) } }
  }

  @Test func noMoreThanItsPlacesAndInOrder() async throws {
    let turnstile = Turnstile(places: 1)
    let gate = ChangeSignal()
    let order = Record()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<5 {
        group.addTask {
          try await turnstile.withTurn {
            order.add(number)
            await gate.wait(past: 0)
          }
        }
        try await eventually("\(number) has come") {
          !order.all.isEmpty && turnstile.waiting == number
        }
      }
      #expect(order.all == [0])
      gate.raise()
      try await group.waitForAll()
    }
    #expect(order.all == [0, 1, 2, 3, 4])
    #expect(turnstile.waiting == 0)
  }

  @Test func whoIsCancelledLeavesTheQueueAndNoPlaceIsLost() async throws {
    let turnstile = Turnstile(places: 1)
    let gate = ChangeSignal()
    let first = Task { try await turnstile.withTurn { await gate.wait(past: 0) } }
    let second = Task { try await turnstile.withTurn { Issue.record("cancelled before its turn") } }
    try await eventually("one waits") { turnstile.waiting == 1 }
    second.cancel()
    await #expect(throws: CancellationError.self) { try await second.value }
    gate.raise()
    try await first.value
    #expect(try await turnstile.withTurn { true })
    await #expect(throws: Fault.self) { try await turnstile.withTurn { throw Fault(.io, "a body that fails") } }
    #expect(try await turnstile.withTurn { true })
  }

  @Test func questionsToWorkersAreFewAtOnce() async throws {
    let running = Mutex(0)
    let most = Mutex(0)
    let asked = ChangeSignal()
    let answer = ChangeSignal()
    let workers = FakeWorkers(task: { worker, order in
      let now = running.withLock { running in
        running += 1
        return running
      }
      most.withLock { $0 = max($0, now) }
      asked.raise()
      await answer.wait(past: 0)
      running.withLock { $0 -= 1 }
      await worker.succeed(order)
    })
    let fixture = try await EngineFixture(workers, runs: false)
    let engine = fixture.engine
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<20 {
        group.addTask { _ = try await engine.inspectBackup(url: "file:///s?backingImage=parrot", by: .daemon) }
      }
      try await eventually("the others wait") { engine.calls.waiting == 16 }
      try await eventually("four are asked") { asked.generation == 4 }
      answer.raise()
      try await group.waitForAll()
    }
    #expect(most.withLock { $0 } <= 4)
    #expect(asked.generation == 20)
  }
}
