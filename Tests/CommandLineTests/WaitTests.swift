import ControlAPI
import DroverModel
import Foundation
import Glibc
import TestKit
import Testing

@Suite struct WaitTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  @Test func goals() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .ready))
    for goal in ["ready", "state=ready", "state=READY"] {
      let output = try daemon.run("wait", "bi/parrot", "--for", goal)
      #expect(output.status == 0)
      #expect(output.out == "backingimage/parrot \(goal)\n")
    }
    #expect(try daemon.run("wait", "bi", "parrot").status == 0)
    #expect(try daemon.run("wait", "bi/parrot", "--for", "completed").status == 2)
    #expect(try daemon.run("wait", "bi/parrot", "--for", "attached").status == 2)
    #expect(try daemon.run("wait", "bi/parrot", "--for", "state=failed").status == 5)
    try daemon.refuse("/v1/backingimages/absent", Fault(.notFound, "it does not exist"))
    #expect(try daemon.run("wait", "bi/absent").status == 4)
    #expect(try daemon.run("wait", "bi/absent", "--for", "deleted").status == 0)
  }

  @Test func timeouts() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .inProgress, job: "job-0123456789abcdef"))
    try daemon.answer("/v1/jobs/job-0123456789abcdef", job(.running, progress: .init(phase: "copying")))
    let timedOut = try daemon.run("wait", "bi/parrot", "--timeout", "100ms")
    #expect(timedOut.status == 11)
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef", job(.running, progress: .init(phase: "waiting for lock: lock-1")))
    #expect(try daemon.run("wait", "bi/parrot", "--timeout", "100ms").status == 6)
    try daemon.answer("/v1/jobs/job-0123456789abcdef", job(.running, progress: .init(phase: "copying blocks")))
    #expect(try daemon.run("wait", "bi/parrot", "--timeout", "100ms").status == 11)
    try daemon.answer("/v1/jobs/job-0123456789abcdef", job(.pending, error: Fault(.locked, "held by lock-1")))
    #expect(try daemon.run("wait", "bi/parrot", "--timeout", "100ms").status == 6)
    #expect(try daemon.run("wait", "bi/parrot", "--timeout", "soon").status == 2)
  }

  @Test func theObjectOrTheErrorAsJSON() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .ready))
    let ready = try daemon.run("wait", "bi/parrot", "-o", "json")
    #expect(ready.status == 0)
    #expect(try APIJSON.decode(Resource.self, from: ready.out).status["state"] == "ready")
    let failed = try daemon.run("wait", "bi/parrot", "--for", "state=failed", "-o", "json")
    #expect(failed.status == 5)
    #expect(failed.error.contains(#""exitCode":5"#))
  }

  @Test func aRecordThatItsJobCouldNotFill() throws {
    let status = BackupBackingImage.Status(state: .unknown, backingImage: "parrot", job: "job-0123456789abcdef")
    try daemon.answer(
      "/v1/backupbackingimages/parrot",
      Resource(kind: "BackupBackingImage", metadata: .init(name: "parrot"), status: status.fields))
    try daemon.answer("/v1/jobs/job-0123456789abcdef", job(.failed, error: Fault(.notFound, "it is not in the store")))
    let output = try daemon.run("wait", "bbi/parrot")
    #expect(output.status == 4, "\(output)")
  }

  @Test func whatShallGoIsStillThere() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .ready))
    let output = try daemon.run("wait", "bi/parrot", "--for", "deleted", "--timeout", "100ms")
    #expect(output.status == 11)
    #expect(output.error.contains("still there"))
    #expect(!output.error.contains("100%"))
  }

  @Test func anErrorThatWaitsForAChangeEndsTheWait() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .pending, job: "job-0123456789abcdef"))
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef",
      job(.pending, error: Fault(.targetUnreachable, "the folder is gone"), runAfter: 4_000_000_000))
    let output = try daemon.run("wait", "bi/parrot")
    #expect(output.status == 10)
    #expect(output.error.contains("goes on by itself"))
  }

  /// The cause was mended just now: what the job met before is no answer, and its next attempt is waited for, however that
  /// ends.
  @Test(arguments: [true, false]) func anErrorOfBeforeTheChangeEndsNothing(_ works: Bool) throws {
    let waiting = image("parrot", .pending, job: "job-0123456789abcdef")
    let done = works ? image("parrot", .ready) : waiting
    try daemon.answer("/v1/backingimages/parrot", inTurn: [waiting, waiting, waiting, done])
    let gone = Fault(.targetUnreachable, "the folder is gone")
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef",
      inTurn: [
        job(.pending, error: gone), job(.pending, error: gone), job(.running),
        job(.pending, error: Fault(.credentialsRefused, "and nobody lets us in"), runAfter: 4_000_000_000),
      ])
    let output = try daemon.run("wait", "bi/parrot", "--timeout", "60s")
    #expect(output.status == (works ? 0 : 14), "\(output)")
    #expect(!output.error.contains("error: ") || output.error.contains("nobody lets us in"), "\(output)")
  }

  @Test func aCancelledJob() throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .failed, job: "job-0123456789abcdef"))
    try daemon.answer("/v1/jobs/job-0123456789abcdef", job(.cancelled))
    #expect(try daemon.run("wait", "bi/parrot").status == 12)
  }

  @Test func targets() throws {
    var status = BackupTarget.Status(
      available: false, conditions: [.init(status: true, reason: "target-unreachable", message: "gone")])
    func target() -> Resource {
      Resource(kind: "BackupTarget", metadata: .init(name: "usb"), status: status.fields)
    }
    try daemon.answer("/v1/backuptargets/usb", target())
    #expect(try daemon.run("wait", "bt/usb", "--for", "available").status == 10)
    status = .init(available: true, conditions: [.init(status: false, reason: "", message: "")])
    try daemon.answer("/v1/backuptargets/usb", target())
    #expect(try daemon.run("wait", "bt/usb", "--for", "ready").status == 0)
    #expect(try daemon.run("wait", "bt/usb", "--for", "state=ready").status == 2)
  }

  @Test func aSignalEndsTheWaitingNotTheJob() async throws {
    try daemon.answer("/v1/backingimages/parrot", image("parrot", .inProgress))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Output.program))
    process.arguments = ["wait", "bi/parrot", "--socket", daemon.folder("sock")]
    process.standardError = FileHandle.nullDevice
    try process.run()
    try await eventually("the first question") { !daemon.server.requests.isEmpty }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    #expect(process.terminationStatus == 130)
    #expect(daemon.server.requests.allSatisfy { $0.method == "GET" })
  }
}
