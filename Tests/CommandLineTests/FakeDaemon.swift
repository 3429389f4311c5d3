import ControlAPI
import Dispatch
import DroverModel
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

/// The API on a unix socket, answered from a script, and the program that asks it.
final class FakeDaemon: Sendable {
  let folder = TemporaryFolder("cli")
  let server: TestHTTPServer

  init() throws { server = try TestHTTPServer(unixSocket: folder("sock")) }

  func answer(_ path: String, _ value: some Encodable & Sendable) throws { try answer(path, 200, value) }

  func answer(_ path: String, _ status: Int, _ value: some Encodable & Sendable) throws {
    let body = try Array(APIJSON.encode(value).utf8)
    server.serve(path) { _ in ScriptedAnswer(status, [("Content-Type", "application/json")], body: body) }
  }

  /// One value after the other; the last one stays.
  func answer(_ path: String, inTurn values: [Resource]) throws {
    let bodies = try values.map { try Array(APIJSON.encode($0).utf8) }
    server.serve(path) { request in ScriptedAnswer(200, body: bodies[min(request.number, bodies.count) - 1]) }
  }

  func refuse(_ path: String, _ fault: Fault) throws { try answer(path, fault.httpStatus, ErrorResponse(fault)) }

  func run(_ arguments: String..., input: String = "") throws -> Output {
    try Output.of(arguments, socket: folder("sock"), input: input)
  }
}

/// What `drover` printed, and how it ended.
struct Output {
  var status: Int32
  var out: String
  var error: String

  static let program = BuiltProducts.path("drover")

  static func of(
    _ arguments: [String], socket: String? = nil, input: String = "", environment: [String: String] = [:]
  ) throws -> Output {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(program, "drover is not built"))
    process.arguments = arguments
    var variables = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "80"]
    if let socket { variables["DROVER_SOCKET"] = socket }
    process.environment = variables.merging(environment) { _, new in new }
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stderr
    try process.run()
    try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try stdin.fileHandleForWriting.close()
    let errors = Mutex(Data())
    let isRead = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      let text = stderr.fileHandleForReading.readDataToEndOfFile()
      errors.withLock { $0 = text }
      isRead.signal()
    }
    let out = stdout.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    _ = isRead.wait(timeout: .now() + 60)
    return Output(
      status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
      out: String(decoding: out, as: UTF8.self), error: errors.withLock { String(decoding: $0, as: UTF8.self) })
  }
}

let sampleChecksum = String(repeating: "0123456789abcdef", count: 8)

/// Made a day before any test can run, so that ages are days.
func image(_ name: String, _ state: BackingImage.State, job: String? = nil, message: String = "") -> Resource {
  var status = BackingImage.Status(state: state, message: message, uuid: "0badcafe", job: job)
  if state == .ready {
    status.progress = 100
    status.checksum = sampleChecksum
    status.size = 3 << 29
    status.virtualSize = 10 << 30
    status.realSize = 1 << 20
    status.format = "qcow2"
    status.path = "/state/images/\(name)-0badcafe/backing"
  }
  return Resource(
    kind: "BackingImage", metadata: .init(name: name, creationTimestamp: "2020-01-05T10:00:02Z"),
    spec: ["sourceType": "download", "sourceParameters": ["url": "http://h/x"]], status: status.fields)
}

func job(
  _ state: Job.State, error: Fault? = nil, progress: Job.Progress? = nil, runAfter: Double? = nil
) -> Resource {
  var job = Job(
    id: "job-0123456789abcdef", kind: .download, owner: ResourceKey(.backingImage, "parrot"),
    pipeline: Pipeline(from: [.init("download", .source)], to: [.init("clone", .sink)]), state: state, attempt: 1,
    error: error, createdAt: 0)
  job.runAfter = runAfter
  return Resource(job: job, progress: progress)
}

func applied(_ result: ApplyOutcome.Result, _ object: Resource, warnings: [String] = []) -> ApplyResponse {
  ApplyResponse(result: result, object: object, warnings: warnings)
}

func manifest(_ names: String...) -> String {
  names.map {
    """
    apiVersion: longhorn.io/v1beta2
    kind: BackingImage
    metadata:
      name: \($0)
    spec:
      sourceType: download
      sourceParameters:
        url: http://h/x

    """
  }.joined(separator: "---\n")
}
