import DroverModel
import LinuxSystem
import TestKit
import Testing

@testable import Engine

struct JobLogTests {
  private let folder = TemporaryFolder("log")
  private var path: String { folder("log") }

  @Test func linesAreNumberedOverAllAttempts() throws {
    JobLog(path: path).append(.info, "one", attempt: 1, time: 0)
    let log = JobLog(path: path)
    log.append(.warning, "two\nwith a break", attempt: 2, time: 60)
    let (lines, end) = try JobLog.read(path, from: 0)
    #expect(lines.map(\.line) == [1, 2])
    #expect(
      lines.last
        == LogLine(line: 2, time: "1970-01-01T00:01:00Z", attempt: 2, level: .warning, message: "two\nwith a break"))
    #expect(try JobLog.read(path, from: end).lines.isEmpty)
  }

  @Test func aLineThatACrashCutOffIsOverwritten() throws {
    JobLog(path: path).append(.info, "one", attempt: 1, time: 0)
    let file = try OpenFile.open(path, .readWrite)
    try Array(#"{"line":2,"mess"#.utf8).withUnsafeBytes { try file.write($0, at: try file.size()) }
    #expect(try JobLog.read(path, from: 0).lines.count == 1)
    JobLog(path: path).append(.info, String(repeating: "long enough to cover it ", count: 4), attempt: 2, time: 0)
    #expect(try JobLog.read(path, from: 0).lines.map(\.line) == [1, 2])
  }

  @Test func aFullLogSaysSoAndGrowsNoMore() throws {
    let log = JobLog(path: path)
    for _ in 0..<2000 { log.append(.debug, String(repeating: "x", count: 5000), attempt: 1, time: 0) }
    let status = try #require(try FileStatus.of(path))
    #expect(status.size < JobLog.limitBytes + 20_000)
    #expect(try JobLog.read(path, from: 0).lines.last?.message == "the log is full: nothing more is kept")
    JobLog(path: path).append(.error, "more", attempt: 2, time: 0)
    #expect(try FileStatus.of(path)?.size == status.size)
  }

  @Test func aLogThatCanNotBeWrittenHarmsNobody() throws {
    let log = JobLog(path: folder("nowhere/log"))
    log.append(.info, "lost", attempt: 1, time: 0)
    #expect(try JobLog.read(folder("nowhere/log"), from: 0).lines.isEmpty)
  }
}

struct ChangeSignalTests {
  @Test func nothingIsLostBetweenLookingAndWaiting() async {
    let signal = ChangeSignal()
    let seen = signal.generation
    signal.raise()
    await signal.wait(past: seen)
  }

  @Test func everybodyWhoWaitsIsWoken() async {
    let signal = ChangeSignal()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 { group.addTask { await signal.wait(past: 0) } }
      group.addTask { signal.raise() }
    }
  }

  @Test func aCancelledTaskWaitsNoMore() async {
    let signal = ChangeSignal()
    let waiting = Task { await signal.wait(past: 0) }
    waiting.cancel()
    await waiting.value
  }
}
