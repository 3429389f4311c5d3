import Foundation
import LinuxSystem
import NBD
import Synchronization
import TestKit
import Testing

/// A device that is served on a socket of the test's own.
final class Served: Sendable {
  let folder = TemporaryFolder("nbd")
  let device: MemoryDevice
  let complaints = Mutex<[String]>([])
  private let server: Mutex<NBDServer?> = Mutex(nil)
  private let ended = Monitor(false)

  var socket: String { folder("s.sock") }
  var uri: String { "nbd+unix:///?socket=\(socket)" }

  init(_ device: MemoryDevice, name: String = "", patience: Double = 60) throws {
    self.device = device
    let server = NBDServer(
      try ListeningSocket.bind(socket, permissions: 0o600), NBDExport(device, name: name, description: "a test's"),
      patience: patience
    ) { [weak self] text in self?.complaints.withLock { $0.append(text) } }
    self.server.withLock { $0 = server }
    let ended = ended
    try SystemThread.start("server") {
      try? server.run()
      ended.change { $0 = true }
    }
  }

  deinit { stop() }

  /// Whether it ended.
  @discardableResult func stop() -> Bool {
    server.withLock { $0?.stop() }
    return ended.wait(atMost: 60) { $0 ? true : nil } == true
  }

  /// Output and error of a program, and its exit status.
  @discardableResult
  func run(_ program: String, _ arguments: String...) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["timeout", "60", program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}

/// Not within an expectation, which would print both.
func same(_ left: [UInt8], _ right: [UInt8]) -> Bool { left == right }
