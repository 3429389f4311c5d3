import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

/// The `drover` of this build, as a user without a daemon runs it.
struct DroverProgram {
  static let path = BuiltProducts.path("drover")
  static var isMissing: Bool {
    path == nil || BuiltProducts.path("drover-worker") == nil || BuiltProducts.path("libdrover-stage-file.so") == nil
  }

  struct Output {
    /// 128 and the signal's number where a signal ended it.
    var status: Int32
    var out: Data
    var error: String
  }

  /// One that runs.
  final class Running {
    let process = Process()
    private let out = Pipe()
    private let errorFile: String

    init(_ arguments: [String], input: String, environment: [String: String], in folder: TemporaryFolder) throws {
      errorFile = folder("stderr-\(UUID().uuidString.prefix(8))")
      process.executableURL = URL(filePath: try #require(DroverProgram.path))
      process.arguments = arguments
      var variables = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TMPDIR": folder.path]
      if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { variables["LD_LIBRARY_PATH"] = path }
      process.environment = variables.merging(environment) { _, new in new }
      try Data().write(to: URL(filePath: errorFile))
      process.standardError = try FileHandle(forWritingTo: URL(filePath: errorFile))
      process.standardOutput = out
      let stdin = Pipe()
      process.standardInput = stdin
      try process.run()
      try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
      try stdin.fileHandleForWriting.close()
    }

    var error: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }

    /// Blocks for the first line of output; nil where it ends without one.
    func line() -> String? {
      var bytes: [UInt8] = []
      while let byte = try? out.fileHandleForReading.read(upToCount: 1)?.first, byte != 10 { bytes.append(byte) }
      return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    func finish() -> Output {
      let data = out.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      let status = process.terminationStatus
      return Output(status: process.terminationReason == .exit ? status : 128 + status, out: data, error: error)
    }
  }

  let folder: TemporaryFolder

  func start(_ arguments: [String], input: String = "", environment: [String: String] = [:]) throws -> Running {
    try Running(arguments, input: input, environment: environment, in: folder)
  }

  func run(_ arguments: String..., input: String = "", environment: [String: String] = [:]) throws -> Output {
    try start(arguments, input: input, environment: environment).finish()
  }

  /// What is left of a job: its folder, and partial files beside `file`.
  func leftovers() throws -> [String] {
    try Folder.list(folder.path).filter { $0.hasPrefix("drover-local-") || $0.hasSuffix(".drover-partial") }
  }
}

/// Runs a tool; its output.
@discardableResult
func tool(_ arguments: String...) throws -> (status: Int32, output: String) {
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = ["timeout", "60"] + arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, output)
}
