import ControlAPI
import DroverModel
import Foundation
import TestKit
import Testing

@Suite struct ApplyTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  @Test func aLineForEachObject() throws {
    try daemon.answer(
      "/v1/backingimages/parrot", 201,
      applied(.created, image("parrot", .pending), warnings: ["spec.nodeSelector is kept, but has no effect here"]))
    try daemon.answer("/v1/backingimages/macaw", applied(.unchanged, image("macaw", .ready)))
    let output = try daemon.run("apply", "-f", "-", input: manifest("parrot", "macaw"))
    #expect(output.status == 0)
    #expect(output.out == "backingimage/parrot created\nbackingimage/macaw unchanged\n")
    #expect(output.error == "backingimage/parrot: warning: spec.nodeSelector is kept, but has no effect here\n")
    let request = daemon.server.requests[0]
    #expect(request.method == "PUT")
    #expect(request.target == "/v1/backingimages/parrot?validate=strict")
    let sent = try APIJSON.decode(JSONValue.self, from: String(decoding: request.body, as: UTF8.self))
    #expect(sent["spec"]?["sourceParameters"] == ["url": "http://h/x"])
  }

  @Test func dryRunsAndValidationAreAskedOfTheDaemon() throws {
    var response = applied(.created, image("parrot", .pending))
    response.plan = JobPlan(size: 1 << 30, dataSize: 1 << 20, space: [.init(path: "/state", bytes: 1 << 20)])
    try daemon.answer("/v1/backingimages/parrot", response)
    let output = try daemon.run(
      "apply", "-f", "-", "--dry-run", "--validate=warn", "--wait", input: manifest("parrot"))
    #expect(output.out == "backingimage/parrot created (dry run)\n")
    #expect(output.error.contains("would copy 1.0 GiB, 1.0 MiB of it data"))
    #expect(daemon.server.requests.map(\.target) == ["/v1/backingimages/parrot?dryRun=1&validate=warn"])
  }

  @Test func aDocumentWithoutANameIsPosted() throws {
    try daemon.answer("/v1/backingimages", 201, applied(.created, image("golden-0badcafe", .pending)))
    let text = manifest("x").replacingOccurrences(of: "name: x", with: "generateName: golden-")
    let output = try daemon.run("apply", "-f", "-", "-o", "name", input: text)
    #expect(output.out == "backingimage/golden-0badcafe\n")
    #expect(daemon.server.requests[0].method == "POST")
  }

  @Test func someFailed() throws {
    try daemon.answer("/v1/backingimages/parrot", 201, applied(.created, image("parrot", .pending)))
    try daemon.refuse("/v1/backingimages/macaw", Fault(.conflict, "another spec", hint: "delete it"))
    let output = try daemon.run("apply", "-f", "-", input: manifest("parrot", "macaw"))
    #expect(output.status == 3)
    #expect(output.out == "backingimage/parrot created\n")
    #expect(output.error == "error: standard input:10: another spec\nhint: delete it\n")
  }

  @Test func allFailedWithOneCause() throws {
    try daemon.refuse("/v1/backingimages/parrot", Fault(.notFound, "no source"))
    try daemon.refuse("/v1/backingimages/macaw", Fault(.notFound, "no source"))
    #expect(try daemon.run("apply", "-f", "-", input: manifest("parrot", "macaw")).status == 4)
    try daemon.refuse("/v1/backingimages/macaw", Fault(.conflict, "another"))
    #expect(try daemon.run("apply", "-f", "-", input: manifest("parrot", "macaw")).status == 1)
  }

  @Test func malformedYAMLTellsTheLine() throws {
    let file = daemon.folder("bad.yaml")
    try "apiVersion: v1\nkind: [\nspec: x\n".write(toFile: file, atomically: true, encoding: .utf8)
    let output = try daemon.run("apply", "-f", file)
    #expect(output.status == 2)
    #expect(output.error.contains("bad.yaml:4:1"))
    #expect(daemon.server.requests.isEmpty)
    #expect(try daemon.run("apply", "-f", daemon.folder("absent")).status == 4)
    #expect(try daemon.run("apply", "-f", "-", input: "# nothing\n").status == 2)
  }

  @Test func nothingIsSentForWhatIsNoObject() throws {
    let unknown = try daemon.run("apply", "-f", "-", input: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n")
    #expect(unknown.status == 2)
    let later = try daemon.run(
      "apply", "-f", "-", input: "apiVersion: longhorn.io/v1beta2\nkind: RecurringJob\nmetadata: {name: vv}\n")
    #expect(later.status == 1)
    #expect(later.error.contains("not supported by this version"))
    #expect(daemon.server.requests.isEmpty)
  }

  @Test func waitingUntilReady() throws {
    let path = "/v1/backingimages/parrot"
    let bodies = try [
      APIJSON.encode(applied(.created, image("parrot", .pending))),
      APIJSON.encode(image("parrot", .inProgress, job: "job-0123456789abcdef")),
      APIJSON.encode(image("parrot", .ready, job: "job-0123456789abcdef")),
    ].map { Array($0.utf8) }
    daemon.server.serve(path) { request in ScriptedAnswer(200, body: bodies[min(request.number, 3) - 1]) }
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef",
      job(.running, progress: .init(phase: "copying", bytesDone: 1 << 20, bytesTotal: 2 << 20, bytesPerSecond: 1000)))
    let output = try daemon.run("apply", "-f", "-", "--wait", "--json-progress", input: manifest("parrot"))
    #expect(output.status == 0)
    let lines = try output.error.split(separator: "\n").map { try APIJSON.decode(JSONValue.self, from: $0) }
    #expect(lines.map { $0["type"]?.string } == ["progress", "event", "summary"])
    #expect(lines[0]["percent"] == 50)
    #expect(lines[0]["phase"] == "copying")
    #expect(lines[2]["succeeded"] == 1)
  }

  @Test func aFailedWaitPrintsTheObjectAsItIs() throws {
    let bodies = try [
      APIJSON.encode(applied(.created, image("parrot", .pending))),
      APIJSON.encode(image("parrot", .failed, message: "checksum")),
    ].map { Array($0.utf8) }
    daemon.server.serve("/v1/backingimages/parrot") { request in
      ScriptedAnswer(200, body: bodies[min(request.number, 2) - 1])
    }
    let output = try daemon.run("apply", "-f", "-", "--wait", "-q", "-o", "json", input: manifest("parrot"))
    let shown = try APIJSON.decode(JSONValue.self, from: output.out)
    #expect(shown["status"] == .object(image("parrot", .failed, message: "checksum").status))
  }

  @Test func aDryRunKnowsWhatEarlierDocumentsWouldCreate() throws {
    try daemon.answer("/v1/backingimages/parrot", applied(.created, image("parrot", .pending)))
    let absent = Fault(.notFound, "backingimage/macaw is a clone of backingimage/parrot, which does not exist")
    let missing = ScriptedAnswer(404, body: Array(try APIJSON.encode(ErrorResponse(absent)).utf8))
    daemon.server.serve("/v1/backingimages/macaw") { _ in missing }
    let output = try daemon.run("apply", "-f", "-", "--dry-run", input: manifest("parrot", "macaw"))
    #expect(output.status == 0)
    #expect(output.out == "backingimage/parrot created (dry run)\nbackingimage/macaw created (dry run)\n")
    #expect(output.error.contains("would wait for backingimage/parrot"))
    #expect(try daemon.run("apply", "-f", "-", "--dry-run", input: manifest("macaw")).status == 4)
  }

  @Test func waitingEndsWithTheJobsError() throws {
    let bodies = try [
      APIJSON.encode(applied(.created, image("parrot", .pending))),
      APIJSON.encode(image("parrot", .failed, job: "job-0123456789abcdef", message: "checksum")),
    ].map { Array($0.utf8) }
    daemon.server.serve("/v1/backingimages/parrot") { request in
      ScriptedAnswer(200, body: bodies[min(request.number, 2) - 1])
    }
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef", job(.failed, error: Fault(.checksumMismatch, "it has another one")))
    let output = try daemon.run("apply", "-f", "-", "--wait", "-q", input: manifest("parrot"))
    #expect(output.status == 7)
    #expect(output.error.hasPrefix("error: backingimage/parrot failed: it has another one\nhint: drover job logs job-"))
  }
}
