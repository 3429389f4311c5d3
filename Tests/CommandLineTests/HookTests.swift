import ControlAPI
import DroverModel
import TestKit
import Testing

@Suite struct HookTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  private let hooks = [
    HookFile(file: "10-a.lua", points: ["naming", "labels"], asked: ["labels"], digest: "ab"),
    HookFile(
      file: "20-b.lua", points: ["naming"], asked: ["naming"], digest: "cd",
      error: .init(line: 3, message: "20-b.lua:3: unexpected symbol near 'x'")),
    HookFile(file: "30-c.lua", error: .init(message: "refused: /h/30-c.lua can be written by others (mode 666)")),
  ]

  @Test func listing() throws {
    try daemon.answer("/v1/hooks", HookList(hooks))
    let output = try daemon.run("hook", "list")
    #expect(output.status == 0)
    #expect(
      output.out == """
        FILE      ACTIVE  ASKED   SHADOWED  ERROR
        10-a.lua  yes     labels  naming    -
        20-b.lua  yes     naming  -         the version before is asked: 20-b.lua:3: unexpected symbol near 'x'
        30-c.lua  no      -       -         refused: /h/30-c.lua can be written by others (mode 666)

        """)
    #expect(try daemon.run("hook", "list", "-o", "name").out == "10-a.lua\n20-b.lua\n30-c.lua\n")
    let json = try APIJSON.decode(JSONValue.self, from: daemon.run("hook", "list", "-o", "json").out)
    #expect(json["items"]?.array?.first?["error"] == JSONValue.null)
    #expect(json["items"]?.array?.map { $0["active"] } == [true, true, false])
    #expect(json["items"]?.array?[1]["error"]?["line"] == 3)
  }

  private func decision(warning: String? = nil) -> PolicyDecision {
    PolicyDecision(
      point: .naming, script: "a.lua", digest: "0123456789abcdef", output: ["name": "bird"], reason: "a.lua gave bird",
      fallback: warning != nil, warning: warning)
  }

  private func serve(_ trial: HookTrial) throws { try daemon.answer("/v1/hooks/test", trial) }

  private func sent() throws -> JSONValue {
    let body = try #require(daemon.server.requests.last).body
    return try APIJSON.decode(JSONValue.self, from: String(decoding: body, as: UTF8.self))
  }

  @Test func trying() throws {
    try serve(
      HookTrial(decision: decision(), point: .naming, input: [:], result: "bird-2", printed: "one\ntwo\n"))
    let output = try daemon.run("hook", "test", "naming", "--live", "bi/parrot")
    #expect(output.status == 0)
    #expect(
      output.out == """
        Script:    a.lua (0123456789ab)
        Decision:  a.lua gave bird
        Printed:
          one
          two
        Result:
          bird-2
        Output:
          name: bird

        """)
    #expect(try sent() == ["point": "naming", "live": "backingimage/parrot"])
    #expect(try daemon.run("hook", "test", "naming", "--input", "-", input: "{\"now\": 7}").status == 0)
    #expect(try sent() == ["point": "naming", "input": ["now": 7]])
    #expect(try daemon.run("hook", "test", "naming").status == 0)
    #expect(try sent()["input"]?["source"]?["name"] == "example")
    #expect(
      try APIJSON.decode(HookTrial.self, from: daemon.run("hook", "test", "naming", "-o", "json").out).result
        == "bird-2")
  }

  @Test func whatFails() throws {
    try serve(HookTrial(decision: decision(warning: "a.lua:7: no luck"), point: .naming, input: [:]))
    let failed = try daemon.run("hook", "test", "naming")
    #expect(failed.status == 1 && failed.error.contains("a.lua:7: no luck"))
    try serve(HookTrial(decision: decision(), point: .naming, input: [:], repeatable: false))
    #expect(try daemon.run("hook", "test", "naming").status == 1)
    try serve(HookTrial(decision: nil, point: .naming, input: [:]))
    #expect(try daemon.run("hook", "test", "naming").status == 4)
    for arguments in [
      ["nameing"], ["naming", "--input", "x", "--live", "bi/a"], ["naming", "--live", "bi"],
      ["naming", "--live", "x/y"], [],
    ] {
      #expect(try Output.of(["hook", "test"] + arguments, socket: daemon.folder("sock")).status == 2, "\(arguments)")
    }
    #expect(try daemon.run("hook", "test", "naming", "--input", "-", input: "{").status == 2)
    #expect(try daemon.run("hook", "test", "naming", "--input", "/nonexistent").status == 4)
  }
}
