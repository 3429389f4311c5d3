import ControlAPI
import DroverModel
import Foundation
import TestKit
import Testing

@Suite struct OutputTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  @Test func tables() throws {
    try daemon.answer("/v1/backingimages", ResourceList([image("parrot", .ready), image("a-macaw", .inProgress)]))
    let narrow = try daemon.run("get", "bi").out.split(separator: "\n").map(String.init)
    #expect(narrow[0] == "NAME     STATE        PROGRESS  SIZE     SOURCE    AGE")
    #expect(narrow[1].hasPrefix("parrot   ready        100%      1.5 GiB  download  "))
    #expect(narrow[2].hasPrefix("a-macaw  in-progress  0%        -        download  "))
    let wide = try daemon.run("get", "backingimages", "-o", "wide").out.split(separator: "\n").map(String.init)
    #expect(
      wide[1].contains(
        "qcow2   no         10.0 GiB  1.0 MiB  0123456789abcdef…  /state/images/parrot-0badcafe/backing  -"))
  }

  @Test func machineFormats() throws {
    let parrot = image("parrot", .ready)
    try daemon.answer("/v1/backingimages", ResourceList([parrot]))
    try daemon.answer("/v1/backingimages/parrot", parrot)
    let one = try APIJSON.decode(Resource.self, from: try daemon.run("get", "bi", "parrot", "-o", "json").out)
    #expect(one == parrot)
    let list = try APIJSON.decode(JSONValue.self, from: try daemon.run("get", "bi", "-o", "json").out)
    #expect(list["kind"] == "List")
    #expect(list["apiVersion"] == "v1")
    #expect(list["items"]?.array?.count == 1)
    #expect(try daemon.run("get", "bi", "-o", "name").out == "backingimage/parrot\n")
    let yaml = try daemon.run("get", "bi/parrot", "-oyaml").out
    #expect(yaml.hasPrefix("apiVersion: longhorn.io/v1beta2\nkind: BackingImage\nmetadata:\n  name: parrot\n"))
    #expect(yaml.contains("\n  size: \(3 << 29)\n"))
  }

  @Test func labelsAreSelectedByTheDaemon() throws {
    try daemon.answer("/v1/backingimages", ResourceList([]))
    let output = try daemon.run("get", "bi", "-l", "usecase=test")
    #expect(output.out.isEmpty)
    #expect(output.error == "nothing found\n")
    #expect(daemon.server.requests[0].target == "/v1/backingimages?labels=usecase%3Dtest")
    #expect(try daemon.run("get", "bi", "-l", "=x").status == 2)
    #expect(try daemon.run("get", "bi", "-o", "json").out.contains("\"items\" : [\n\n  ]"))
  }

  @Test func aJobsRow() throws {
    try daemon.answer(
      "/v1/jobs",
      ResourceList([
        job(
          .running,
          progress: .init(
            phase: "copying", bytesDone: 1 << 30, bytesTotal: 2 << 30, bytesPerSecond: 120 * 1_048_576, etaSeconds: 9))
      ]))
    let output = try daemon.run("job", "list")
    #expect(
      output.out.contains(
        "job-0123456789abcdef  download  backingimage/parrot  running  50%       copying  120.0 MiB/s  9s   1"))
  }

  @Test func describing() throws {
    try daemon.answer(
      "/v1/backingimages/parrot/describe",
      Description(
        object: image("parrot", .ready), jobs: [job(.succeeded)],
        events: [
          Event(
            seq: 7, time: "2026-01-05T10:00:02Z", type: .created, kind: "backingimage", name: "parrot", message: "by 0")
        ], dependents: [ResourceKey(.backupBackingImage, "parrot")]))
    let text = try daemon.run("describe", "bi", "parrot").out
    for part in [
      "Name:     parrot\nKind:     BackingImage\n", "\nSpec\n  sourceParameters:\n    url: http://h/x\n",
      "\nStatus\n  checksum: ", "\nJobs\n  ID ", "\nEvents\n  TIME ", "2026-01-05T10:00:02Z  created  -    by 0",
      "\nNeeded by\n  backupbackingimage/parrot\n",
    ] {
      #expect(text.contains(part), "\(part)")
    }
    let json = try APIJSON.decode(JSONValue.self, from: try daemon.run("describe", "bi/parrot", "-o", "json").out)
    #expect(json["dependents"] == [["kind": "backupbackingimage", "name": "parrot"]])
  }

  @Test func errorsInBothForms() throws {
    try daemon.refuse("/v1/backingimages/parrot", Fault(.inUse, "it is read by job-1", hint: "wait"))
    let text = try daemon.run("get", "bi", "parrot")
    #expect(text.status == 5)
    #expect(text.out.isEmpty)
    #expect(text.error == "error: it is read by job-1\nhint: wait\n")
    let json = try daemon.run("get", "bi", "parrot", "-o", "json")
    #expect(json.status == 5)
    let error = try APIJSON.decode(ErrorResponse.self, from: json.error).error
    #expect(error.code == "in-use")
    #expect(error.exitCode == 5)
    #expect(error.hint == "wait")
  }

  @Test func noDaemon() throws {
    let output = try Output.of(["get", "bi", "--socket", daemon.folder("absent")])
    #expect(output.status == 13)
    #expect(output.error.contains("droverd serve"))
    let version = try Output.of(["--socket", daemon.folder("absent"), "version"])
    #expect(version.status == 0)
    #expect(version.out.hasPrefix("drover   \(DroverVersion.current)\ndroverd  not reachable: "))
  }

  @Test func statusAndPlugins() throws {
    let plugin = PluginReport(
      path: "/p/libdrover-stage-x.so", name: "x", version: "1", abi: "1.0",
      stages: [.init(name: "x", summary: "An x.", roles: [.source, .sink], parallel: true, network: false)])
    let refused = PluginReport(path: "/p/bad.so", refused: Fault(.pluginRefused, "writable by others"))
    try daemon.answer("/v1/plugins", PluginList([plugin, refused]))
    let list = try daemon.run("plugin", "list").out
    #expect(list.contains("x     1        1.0  x (source, sink)"))
    #expect(list.contains("refused: writable by others"))

    try daemon.answer(
      "/v1/status",
      StatusReport(
        version: "9.9",
        engine: EngineStatus(
          stateFolder: "/state", startedAt: "2026-01-05T10:00:02Z", queue: .init(pending: 1, running: 2, limit: 4),
          targets: [.init(name: "default", url: "file:///s", available: true)], plugins: [plugin], freeBytes: 1 << 30),
        configuration: ["maxJobs": 4]))
    let status = try daemon.run("status")
    #expect(status.out.contains("Jobs:     2 running (at most 4), 1 pending, 0 paused\n"))
    #expect(status.out.contains("default  yes        file:///s  -"))
    #expect(try daemon.run("status", "--config").out == "maxJobs: 4\n")
    let json = try APIJSON.decode(JSONValue.self, from: try daemon.run("status", "-o", "json").out)
    for member in ["version", "queue", "workers", "targets", "stale", "hooks", "plugins"] {
      #expect(json[member] != nil, "\(member)")
    }

    try daemon.answer("/v1/plugins/inspect", refused)
    let inspect = try daemon.run("plugin", "inspect", "bad.so")
    #expect(inspect.status == 1)
    #expect(daemon.server.requests.last?.target.contains("path=%2F") == true)
  }

  @Test func streams() throws {
    let event = Event(seq: 3, time: "t", type: .jobStarted, kind: "backingimage", name: "parrot", job: "job-1")
    let line = LogLine(line: 1, time: "t", attempt: 2, level: .warning, message: "slow")
    let (events, log) = try (APIJSON.encode(event) + "\n", APIJSON.encode(line) + "\n")
    daemon.server.serve("/v1/events") { _ in ScriptedAnswer(200, body: Array(events.utf8)) }
    daemon.server.serve("/v1/jobs/job-1/log") { _ in ScriptedAnswer(200, body: Array(log.utf8)) }
    #expect(try daemon.run("events", "--since", "2").out == "3 t backingimage/parrot job-started (job-1)\n")
    #expect(try daemon.run("events", "-o", "json").out == events)
    #expect(try daemon.run("job", "logs", "job-1").out == "t 2 warning: slow\n")
  }
}
