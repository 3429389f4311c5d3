import LinuxSystem
import Testing

@Suite struct MonitorTests {
  @Test func aChangeWakesTheWaiting() throws {
    let monitor = Monitor((started: 0, value: 0))
    for _ in 1...8 {
      try SystemThread.start("waiter") {
        monitor.change { $0.started += 1 }
        let seen: Int? = monitor.wait(atMost: 30) { $0.value > 0 ? $0.value : nil }
        monitor.change { $0.started -= seen == 7 ? 1 : 0 }
      }
    }
    let allStarted: Bool? = monitor.wait(atMost: 30) { $0.started == 8 ? true : nil }
    #expect(allStarted == true)
    monitor.change { $0.value = 7 }
    let allDone: Bool? = monitor.wait(atMost: 30) { $0.started == 0 ? true : nil }
    #expect(allDone == true)
  }

  @Test func waitingEnds() {
    let monitor = Monitor(0)
    let began = BootClock.seconds()
    #expect(monitor.wait(atMost: 0.05) { _ -> Int? in nil } == nil)
    #expect(BootClock.seconds() - began >= 0.05)
    #expect(monitor.wait(atMost: -1) { _ -> Int? in nil } == nil)
    #expect(monitor.wait(atMost: 0) { $0 == 0 ? 5 : nil } == 5, "asked at least once")
  }
}
