import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct WatchdogTests {
  @Test func aCallThatHangsIsReported() {
    let harness = Harness()
    let copy = MemoryCopy([UInt8](repeating: 1, count: 8192))
    let stages = copy.stages()
    let release = Gate()
    let open = stages[0].opening
    stages[0].opening = { request, host in
      release.wait(atMost: 30)
      return try open(request, host)
    }
    stages[1].discarding = { _ in }
    // What the real worker does is end the process; here the call is let go on.
    let job = JobContext(interruption: harness.interruption) { _ in }
    var attempt = Attempt(
      order: harness.order(.copy, hangSeconds: 1), secrets: [], library: FakeLibrary(stages: stages), job: job,
      admission: {},
      hung: { fault in
        harness.hangs.withLock { $0.append(fault) }
        release.open()
      })
    let start = BootClock.seconds()
    #expect(attempt.run().result != nil)
    let hangs = harness.hangs.withLock { $0 }
    #expect(hangs.count == 1)
    #expect(hangs.first?.code == .hung)
    #expect(hangs.first?.retry == .transient)
    #expect(hangs.first?.message.contains("call open of stage source") == true)
    #expect(BootClock.seconds() - start < 10)
  }

  @Test func aStageThatSpeaksDoesNotHang() {
    let harness = Harness()
    let task = FakeStage("slow", roles: DROVER_ROLE_TASK)
    task.running = { _, host in
      let start = BootClock.seconds()
      let never = Gate()
      while BootClock.seconds() - start < 2.5 {
        host.phase(host.context, "waiting for lock", "images")
        host.progress(host.context, 1, 2)
        never.wait(atMost: 0.2)
      }
    }
    let pipeline = Pipeline(from: [.init("slow", .task)], to: [])
    #expect(harness.run(harness.order(pipeline, hangSeconds: 1), [task]).result != nil)
    #expect(harness.hangs.withLock { $0.isEmpty })
    let phases = harness.reports.withLock {
      $0.compactMap { if case .progress(let progress) = $0 { progress.phase } else { nil } }
    }
    #expect(phases.contains("waiting for lock: images"))
  }

  @Test func aFilterLivesWhileTheDeviceBelowItDoes() {
    let activity = Activity()
    let start = BootClock.seconds()
    activity.during("filter", "pwrite") {
      #expect(activity.longestSilence(now: start + 100)!.seconds > 99)
      activity.sign("filter")
      #expect(activity.longestSilence(now: BootClock.seconds())!.seconds < 50)
    }
    #expect(activity.longestSilence(now: start + 100) == nil)
  }

  @Test func progressTellsRateRestAndStall() {
    var meter = ProgressMeter()
    _ = meter.progress(phase: "copying", done: 0, total: 1000, lastConfirmed: 0, now: 0)
    var last = meter.progress(phase: "copying", done: 100, total: 1000, lastConfirmed: 1, now: 1)
    #expect(last.bytesPerSecond == 100)
    #expect(last.etaSeconds == 9)
    #expect(last.stalledSeconds == 0)
    last = meter.progress(phase: "copying", done: 100, total: 1000, lastConfirmed: 1, now: 11)
    #expect(last.bytesPerSecond < 25)
    #expect(last.stalledSeconds == 10)
    #expect(last.bytesDone == 100)
    #expect(last.bytesTotal == 1000)
  }

  @Test func progressNeverCountsBeyondWhatIsConfirmed() {
    var noise = Noise(seed: 61)
    let copy = MemoryCopy(noise.bytes(200 * 4096))
    let harness = Harness()
    let answer = harness.run(harness.order(.copy), copy.stages())
    #expect(answer.result != nil)
    let seen = harness.reports.withLock {
      $0.compactMap { if case .progress(let progress) = $0 { progress } else { nil } }
    }
    #expect(seen.allSatisfy { $0.bytesDone <= 200 * 4096 })
  }
}
