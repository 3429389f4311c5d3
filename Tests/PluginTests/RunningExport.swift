import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

/// A `drover-export` of this build that serves a file by the `disk` plugin, in a folder of its own.
final class RunningExport: Sendable {
  let folder: TemporaryFolder
  let child: StartedChild
  let order: ExportOrder

  var client: ExportClient { ExportClient(order.controlSocket, patience: 60) }
  var uri: String { "nbd+unix:///?socket=\(order.socket)" }
  var log: String { (try? String(contentsOfFile: order.log, encoding: .utf8)) ?? "" }

  static let spawner = try! Spawner()
  /// Compiled once; its folder lives as long as this program.
  nonisolated(unsafe) static let plugin = Result { try CompiledPlugin("disk", .c11, .current) }

  static func makeFolder(size: UInt64 = 8 << 20) throws -> TemporaryFolder {
    let folder = TemporaryFolder("export")
    let file = try OpenFile.open(folder("disk"), .create(permissions: 0o600))
    try file.truncate(to: size)
    return folder
  }

  static func order(
    _ folder: TemporaryFolder, block: Int = 4096, readOnly: Bool = false, hangSeconds: Int = 600,
    change: (inout ExportOrder) -> Void = { _ in }
  ) throws -> ExportOrder {
    var order = ExportOrder(
      name: "data", volume: "0a0b0c0d",
      from: [.init("disk", .source, ["path": .string(folder("disk")), "block": .int(Int64(block))])],
      isReadOnly: readOnly, socket: folder("run/data.sock"), controlSocket: folder("run/data.control"),
      lock: folder("export.lock"), log: folder("log"), folder: folder.path,
      pluginFolders: [try plugin.get().folder.path], hangSeconds: hangSeconds)
    change(&order)
    return order
  }

  /// Started, and its hello heard; nothing was said to it.
  static func start() throws -> StartedChild {
    let program = try #require(BuiltProducts.path("drover-export"))
    let child = try spawner.start(
      ChildProgram(
        path: program, environment: Spawner.cleanEnvironment(ProcessInfo.processInfo.environment), newSession: true))
    guard case .hello(DroverVersion.current, child.process.pid)? = try child.channel.receive(ExportReport.self) else {
      throw Fault(.internalError, "the first report must be hello")
    }
    return child
  }

  /// Until it serves; the channel stays open.
  /// - Throws: The Fault of its refusal.
  init(_ folder: TemporaryFolder, _ order: ExportOrder, secrets: [SecretBytes] = []) throws {
    self.folder = folder
    self.order = order
    child = try Self.start()
    do {
      for secret in secrets { try child.channel.send(secret: secret) }
      try child.channel.send(order)
      switch try child.channel.receive(ExportReport.self) {
      case .serving: break
      case .failed(let fault): throw fault
      default: throw Fault(.internalError, "it neither serves nor says why")
      }
    } catch {
      child.channel.shutDown()
      _ = try child.process.wait()
      throw error
    }
  }

  convenience init(block: Int = 4096) throws {
    let folder = try Self.makeFolder()
    try self.init(folder, try Self.order(folder, block: block))
  }

  func detach() throws {
    try client.detach()
    #expect(try child.process.wait() == .code(0))
  }

  func kill() throws {
    child.process.kill(9)
    _ = try child.process.wait()
  }

  func bytes() throws -> [UInt8] { try Folder.readFile(folder("disk"), limit: 64 << 20) }

  /// Output and error of a program that gets two minutes, and its exit status.
  @discardableResult
  func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["timeout", "120", program] + arguments
    let pipe = Foundation.Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }

  func qemu(_ commands: String...) throws -> (status: Int32, output: String) {
    try run("qemu-io", ["-f", "raw"] + commands.flatMap { ["-c", $0] } + [uri])
  }
}
