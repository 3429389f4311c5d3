import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

/// The real program in a folder of its own. Everything here blocks: call it on a thread.
final class RunningDaemon: @unchecked Sendable {  // used by one thread at a time
  let process: ChildProcess
  private let log: String
  private var hasEnded = false

  struct NotReady: Error, CustomStringConvertible { var description: String }

  init(_ folder: TemporaryFolder, arguments: [String], environment: [String: String] = [:], name: String = "droverd")
    throws
  {
    let program = try #require(BuiltProducts.path("droverd"), "droverd is not part of this build")
    log = folder("\(name).log")
    let output = try OpenFile.open(log, .create(permissions: 0o600))
    let null = try OpenFile.open("/dev/null", .readWrite)
    process = try ChildProcess.spawn(
      program, arguments: ["droverd"] + arguments,
      environment: ["PATH": "/usr/bin:/bin", "HOME": folder.path].merging(environment) { $1 },
      descriptors: [(null.descriptor, 0), (output.descriptor, 1), (output.descriptor, 2)])
  }

  deinit {
    guard !hasEnded else { return }
    process.kill(SIGKILL)
    _ = try? process.wait()
  }

  var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

  func waitUntilItAnswers(_ socket: String) throws {
    try until("the daemon answers: \(output)") {
      guard kill(process.pid, 0) == 0 else { throw NotReady(description: output) }
      guard let client = try? RawClient(socket) else { return false }
      try client.send(RawClient.request("GET", "/v1/version"))
      return try client.reply().status == 200
    }
  }

  /// Its exit code; fails where a signal ended it, or where it takes too long.
  func end() throws -> Int32 {
    let ended = Monitor(false)
    let process = process
    try SystemThread.start("patience") {
      if ended.wait(atMost: 40, { $0 ? true : nil }) == nil { process.kill(SIGKILL) }
    }
    let status = try process.wait()
    ended.change { $0 = true }
    hasEnded = true
    guard case .code(let code) = status else { throw NotReady(description: "ended by \(status): \(output)") }
    return code
  }
}
