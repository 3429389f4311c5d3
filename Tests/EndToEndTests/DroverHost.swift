import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

/// A daemon of the test's own, in a folder of its own, driven with the real command line.
final class DroverHost: @unchecked Sendable {  // used by one test, which does one thing at a time
  let folder = TemporaryFolder("host")
  private(set) var daemon: ChildProcess?
  private var environment: [String: String]
  private let bin: String
  private var runs = 0
  /// What goes wrong in its processes; nil: nothing does.
  private(set) var effects: Effects?

  /// A command of the shell that is run in the daemon's process before it: `ulimit -n 64`.
  var limits: String?

  var state: String { folder("state") }
  var socket: String { folder("drover.sock") }
  var images: String { "\(state)/images" }
  var store: String { "\(state)/store" }

  init(
    plugins: [String] = [], configuration: String? = nil, hooks: Bool = false, faulty: Bool = false, speed: Int = 8,
    start: Bool = true
  ) throws {
    bin = BuiltProducts.folder
    if faulty { effects = try Effects(in: folder.path, speed: speed) }
    environment = ["PATH": "/usr/bin:/bin", "HOME": folder.path, "DROVER_SOCKET": folder("drover.sock")]
    environment["DROVER_STATE"] = folder("state")
    if faulty { environment["DROVER_PLUGINS"] = bin }
    if hooks { environment["DROVER_HOOKS"] = folder("hooks") }
    if !plugins.isEmpty { environment["DROVER_PLUGINS"] = ([bin] + plugins).joined(separator: ":") }
    if let configuration {
      try Folder.writeDurably(folder("drover.yaml"), Array(configuration.utf8))
    }
    if start { try self.start() }
  }

  deinit {
    if let daemon {
      daemon.kill(SIGKILL)
      _ = try? daemon.wait()
    }
  }

  /// Starts the daemon and waits until its socket answers.
  func start() throws {
    try launch()
    // `version` alone answers without a daemon, too.
    try until("the daemon answers", within: 60) { try run("status").code == 0 }
  }

  /// Starts the daemon and waits for nothing.
  func launch() throws {
    let log = try OpenFile.open(folder("droverd.log"), .create(permissions: 0o600))
    lseek(log.descriptor, 0, SEEK_END)
    var arguments = ["droverd", "serve", "--state", state, "--socket", socket]
    if try FileStatus.of(folder("drover.yaml")) != nil { arguments += ["--config", folder("drover.yaml")] }
    let null = try OpenFile.open("/dev/null", .readWrite)
    let program = try effects?.programs(from: bin) ?? bin
    var command = (program: "\(program)/droverd", arguments: arguments)
    if let limits {
      let script = "\(limits); exec \(command.program) \"$@\""
      command = ("/bin/sh", ["sh", "-c", script] + arguments)
    }
    daemon = try ChildProcess.spawn(
      command.program, arguments: command.arguments,
      environment: environment.merging(effects?.environment(.daemon) ?? [:]) { $1 },
      descriptors: [(null.descriptor, 0), (log.descriptor, 1), (log.descriptor, 2)])
  }

  /// False once its process has ended, also before anybody waited for it.
  var daemonRuns: Bool {
    guard let daemon, let stat = try? String(contentsOfFile: "/proc/\(daemon.pid)/stat", encoding: .utf8) else {
      return false
    }
    return stat.split(separator: ")").last?.first { $0 != " " } != "Z"
  }

  /// The process that runs the daemon's policies, if there is one.
  var policyProcess: pid_t? {
    guard let daemon else { return nil }
    for name in (try? Folder.list("/proc")) ?? [] {
      guard let pid = pid_t(name), let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")"), stat[..<end].hasSuffix("(drover-policy")
      else { continue }
      let rest = stat[end...].dropFirst(2).split(separator: " ")
      if rest.count > 1, rest[1] == "\(daemon.pid)" { return pid }
    }
    return nil
  }

  /// Asks again and again until it is so; fails after `seconds`, with the daemon's log.
  func until(_ what: String, within seconds: Double, _ isSo: () throws -> Bool) throws {
    try TestKit.until("\(what); the daemon said:\n\(daemonLog)", within: seconds, isSo)
  }

  var daemonLog: String { (try? String(contentsOfFile: folder("droverd.log"), encoding: .utf8)) ?? "" }

  /// SIGTERM and wait; answers how it ended.
  @discardableResult
  func stop(signal: Int32 = SIGTERM) throws -> ChildProcess.ExitStatus {
    let ending = try #require(daemon)
    daemon = nil
    ending.kill(signal)
    return try ending.wait()
  }

  struct Output: CustomStringConvertible {
    var code: Int32
    var out: String
    var err: String
    var json: JSONValue { (try? JSONDecoder().decode(JSONValue.self, from: Data(out.utf8))) ?? .null }
    var description: String { "exit \(code)\n\(out)\n\(err)" }
  }

  /// Starts the command line; its output goes to files.
  func begin(_ arguments: [String], input: String? = nil) throws -> Run {
    runs += 1
    let base = folder("run-\(runs)")
    try Folder.writeDurably("\(base).in", Array((input ?? "").utf8))
    let files = try ["in", "out", "err"].map { try OpenFile.open("\(base).\($0)", .create(permissions: 0o600)) }
    let process = try ChildProcess.spawn(
      "\(bin)/drover", arguments: ["drover"] + arguments, environment: environment,
      descriptors: files.enumerated().map { ($0.element.descriptor, Int32($0.offset)) })
    return Run(process: process, base: base)
  }

  struct Run {
    var process: ChildProcess
    var base: String

    func end() throws -> Output {
      let status = try process.wait()
      let code: Int32 =
        switch status {
        case .code(let code): code
        case .signal(let number): 128 + number
        }
      func text(_ end: String) throws -> String { try String(contentsOfFile: "\(base).\(end)", encoding: .utf8) }
      return Output(code: code, out: try text("out"), err: try text("err"))
    }
  }

  func run(_ arguments: String..., input: String? = nil) throws -> Output {
    try begin(arguments, input: input).end()
  }

  /// Runs the command line where nothing but success will do; what it said is in the error.
  func succeed(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
    let output = try begin(arguments).end()
    if output.code != 0 {
      Issue.record(
        "drover \(arguments.joined(separator: " ")): \(output)\nthe daemon said:\n\(daemonLog)",
        sourceLocation: sourceLocation)
    }
  }

  /// Applies the manifest and, where asked, waits for its objects' final state.
  func apply(_ manifest: String, wait: Bool = true, timeout: String = "60s") throws -> Output {
    try begin(["apply", "-f", "-"] + (wait ? ["--wait", "--timeout", timeout] : []), input: manifest).end()
  }

  func object(_ kind: String, _ name: String) throws -> JSONValue {
    let output = try run("get", kind, name, "-o", "json")
    guard output.code == 0 else { throw DeadlineExceeded(description: "get \(kind) \(name): \(output)") }
    return output.json
  }

  func status(_ kind: String, _ name: String) throws -> JSONValue { try object(kind, name)["status"] ?? .null }

  func jobs(of name: String) throws -> [JSONValue] {
    let items = try run("job", "list", "-o", "json").json["items"]?.array ?? []
    return items.filter { $0["status"]?["owner"]?["name"]?.string == name }
  }

  /// What the images folder holds.
  func imageFolders() throws -> [String] { try Folder.listIfPresent(images) ?? [] }
}
