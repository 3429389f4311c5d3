import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

/// The program itself, over its channel.
@Suite struct ProgramTests {
  private func start() throws -> StartedChild {
    let path = try #require(BuiltProducts.path("drover-policy"), "drover-policy is not built")
    return try Spawner().start(
      ChildProgram(path: path, environment: Spawner.cleanEnvironment(["PATH": "/usr/bin:/bin"])))
  }

  @Test func itAnswersInOrderAndEndsWithTheChannel() throws {
    let child = try start()
    guard case .hello(let version, let pid) = try child.channel.receive(PolicyReport.self) else {
      return #expect(Bool(false), "no hello")
    }
    #expect(version == DroverVersion.current && pid == child.process.pid)
    let script = PolicyScript(
      file: "a.lua", source: "return { api = 1, naming = function(ctx) print('hm') return { name = ctx.n } end }")
    let limits = PolicyLimits(deadlineMilliseconds: 60_000)
    try child.channel.send(PolicyCommand.inspect(script, limits))
    for number in 1...3 {
      try child.channel.send(PolicyCommand.ask(script, .naming, context: ["n": .int(Int64(number))], limits))
    }
    guard case .inspected(let points) = try child.channel.receive(PolicyReport.self) else {
      return #expect(Bool(false), "not inspected")
    }
    #expect(points == [.naming])
    for number in 1...3 {
      guard case .answered(let value, let printed) = try child.channel.receive(PolicyReport.self) else {
        return #expect(Bool(false), "no answer")
      }
      #expect(value == ["name": .int(Int64(number))] && printed == "hm\n")
    }
    child.channel.shutDown()
    #expect(try child.process.wait() == .code(0))
  }

  @Test func itEndsWithTheChannelWhileAScriptLoops() throws {
    let child = try start()
    _ = try child.channel.receive(PolicyReport.self)
    let script = PolicyScript(file: "a.lua", source: "while true do end")
    let forever = PolicyLimits(instructions: .max, deadlineMilliseconds: 3_600_000)
    try child.channel.send(PolicyCommand.inspect(script, forever))
    child.channel.shutDown()
    #expect(try child.process.wait() == .code(0))
  }
}
