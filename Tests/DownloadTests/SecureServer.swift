import Foundation
import Glibc
import TestKit
import Testing

/// One `openssl s_server` that serves `image` with a certificate of a test's own authority.
final class SecureServer {
  let folder = TemporaryFolder("tls")
  let port: Int
  private let process = Process()

  private static let program = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first { (path: String) in
    access(path, X_OK) == 0
  }

  /// Nil, and a line that says why, where there is no openssl program.
  static func start(content: [UInt8]) throws -> SecureServer? {
    guard let program else {
      print("skipped: no openssl program, so there is no certificate to serve with")
      return nil
    }
    return try SecureServer(program: program, content: content)
  }

  private init(program: String, content: [UInt8]) throws {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    try Self.run(
      program, in: folder,
      ["req", "-x509"] + key + ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority"])
    try Self.run(
      program, in: folder,
      ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key"] + key + [
        "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=127.0.0.1", "-addext",
        "subjectAltName=IP:127.0.0.1",
      ])
    let head = "HTTP/1.1 200 OK\r\nContent-Length: \(content.count)\r\nConnection: close\r\n\r\n"
    try Data([UInt8](head.utf8) + content).write(to: URL(fileURLWithPath: folder("image")))

    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", "-HTTP"]
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    // Blocks until the server says on which port it listens, or ends.
    var text = ""
    while !text.contains("ACCEPT") || !text.hasSuffix("\n") {
      let piece = output.fileHandleForReading.availableData
      if piece.isEmpty { break }
      text += String(decoding: piece, as: UTF8.self)
    }
    let line = text.split(separator: "\n").last { $0.hasPrefix("ACCEPT") }
    port = try #require(line?.split(separator: ":").last.flatMap { Int($0) }, "\(text)")
  }

  // Its threads' signal mask is inherited, so only this signal is sure to arrive.
  deinit { kill(process.processIdentifier, SIGKILL) }

  private static func run(_ program: String, in folder: TemporaryFolder, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }
}
