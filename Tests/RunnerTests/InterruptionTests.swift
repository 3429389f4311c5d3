import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct InterruptionTests {
  private static let bytes: [UInt8] = {
    var noise = Noise(seed: 41)
    return noise.bytes(6 * 4096) + [UInt8](repeating: 0, count: 2 * 4096) + noise.bytes(512)
  }()

  private static func callsOfAGoodRun() -> Int {
    let copy = MemoryCopy(bytes)
    _ = Harness().run(Harness().order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
    return copy.script.calls
  }

  @Test func aCancelAtAnyCallEndsWithinASecondAndLeavesNothing() {
    var stopped = 0
    for number in 1...Self.callsOfAGoodRun() {
      let harness = Harness()
      var copy = MemoryCopy(Self.bytes)
      let asked = Mutex(0.0)
      copy.script = Script { now, _ in
        if now == number {
          asked.withLock { $0 = BootClock.seconds() }
          harness.interruption.ask(.cancel)
        }
      }
      let answer = harness.run(harness.order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
      let seconds = BootClock.seconds() - asked.withLock { $0 }
      let state = copy.disk.state.withLock { $0 }
      if answer.result != nil {
        // Too late: it was being committed.
        #expect(isSame(state.committed, Self.bytes), "call \(number)")
        continue
      }
      stopped += 1
      #expect(answer.isStopped, "call \(number)")
      #expect(seconds < 1, "call \(number)")
      #expect(state.committed == nil, "call \(number)")
      #expect(state.identity == nil, "call \(number)")
      #expect(state.discards >= 1, "call \(number)")
    }
    #expect(stopped > 15)
  }

  @Test func aStageThatAsksIsToldOfTheCancelButNotWhileItCleansUp() {
    let harness = Harness()
    let copy = MemoryCopy(Self.bytes)
    let stages = copy.stages()
    let told = Mutex<[Int32]>([])
    stages[0].opening = { _, host in
      harness.interruption.ask(.cancel)
      told.withLock { $0.append(host.cancelled(host.context)) }
      throw FakeFailure.cancelled
    }
    let discard = stages[1].discarding
    stages[1].discarding = { request in
      told.withLock { $0.append(harness.interruption.tellsStagesToStop ? 1 : 0) }
      try discard(request)
    }
    #expect(harness.run(harness.order(.copy), stages).isStopped)
    #expect(told.withLock { $0 } == [1, 0])
  }

  @Test func aCancelIsHeardWhileSequentialBytesTrickleIn() throws {
    let harness = Harness()
    let source = FakeStage("source") { _, host in
      let device = Trickle(host)
      device.flags = DROVER_DEVICE_SEQUENTIAL | DROVER_DEVICE_NO_EXTENTS
      return device
    }
    let sink = MemoryCopy([]).stages()[1]
    let asked = Mutex(0.0)
    try SystemThread.start("canceller") {
      while harness.reports.withLock({ $0.isEmpty }) {}
      asked.withLock { $0 = BootClock.seconds() }
      harness.interruption.ask(.cancel)
    }
    #expect(harness.run(harness.order(.copy), [source, sink]).isStopped)
    #expect(BootClock.seconds() - asked.withLock { $0 } < 1)
  }

  /// Waits for bytes that never come, and asks whether to go on waiting.
  private final class Trickle: FakeDevice, @unchecked Sendable {
    // Sendable: the host's table bears every thread.
    private let host: drover_host
    init(_ host: drover_host) { self.host = host }
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      while host.cancelled(host.context) == 0 {}
      throw FakeFailure.cancelled
    }
  }

  @Test func aPauseAtAnyCallKeepsWhatIsThereAndContinues() {
    for number in 1...Self.callsOfAGoodRun() {
      let harness = Harness()
      var copy = MemoryCopy(Self.bytes)
      copy.script = Script { now, _ in if now == number { harness.interruption.ask(.pause) } }
      let answer = harness.run(harness.order(.copy, concurrency: 1), copy.stages())
      if answer.result != nil { continue }
      #expect(answer.isStopped, "call \(number)")
      #expect(copy.disk.state.withLock { $0.discards } == 0, "call \(number)")
      let checkpoint = harness.checkpoints.last
      // The last write may not have been confirmed when the pause came.
      let isSafe = copy.disk.state.withLock { $0.writes.count > 1 }
      #expect(!isSafe || checkpoint != nil, "call \(number)")
      let next = Harness()
      copy.script = Script()
      let order = next.order(.copy, attempt: 2, checkpoint: checkpoint)
      #expect(next.run(order, copy.stages()).result?.checksum == sha512(Self.bytes), "call \(number)")
      #expect(isSame(copy.disk.committed, Self.bytes), "call \(number)")
    }
  }

  @Test func aPauseWhileWaitingForSpaceStopsAtOnce() {
    let harness = Harness()
    let copy = MemoryCopy(Self.bytes)
    let inbox = Inbox()
    let answer = harness.run(
      harness.order(.copy), copy.stages(),
      admission: {
        harness.interruption.ask(.pause)
        try inbox.waitForAdmission(harness.interruption)
      })
    #expect(answer.isStopped)
    #expect(copy.script.names == ["plan", "plan"])
  }

  @Test func aFailureForGoodOutweighsAPause() {
    let harness = Harness()
    var copy = MemoryCopy(Self.bytes)
    copy.script = Script { _, call in
      if call == "pwrite" {
        harness.interruption.ask(.pause)
        throw FakeFailure(code: "no-space")
      }
    }
    #expect(harness.run(harness.order(.copy, concurrency: 1), copy.stages()).fault?.code == .noSpace)
    #expect(copy.disk.state.withLock { $0.discards } == 1)
  }
}
