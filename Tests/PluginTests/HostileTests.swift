import ChildProtocol
import DroverModel
import Foundation
import Glibc
import LinuxSystem
import LocalWorker
import Synchronization
import TestKit
import Testing

/// `Plugins/hostile.c` in real workers: whatever a plugin does costs one attempt, and what is told of it names the
/// plugin, the stage, the call and what happened.
@Suite(.enabled(if: BuiltProducts.path("drover-worker") != nil, "this build has no worker"))
struct HostileTests {
  static let plugin = try! Hostile()
  let folder = TemporaryFolder("hostile")

  /// Compiled once.
  struct Hostile {
    let folder = TemporaryFolder("hostile-plugin")
    let path: String
    let worker: LocalWorker

    init() throws {
      path = folder("libdrover-stage-hostile.so")
      try Self.compile([], to: path)
      var environment = ["PATH": "/usr/bin:/bin"]
      let libraries = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
      if let libraries { environment["LD_LIBRARY_PATH"] = libraries }
      worker = try LocalWorker(path: BuiltProducts.path("drover-worker") ?? "", environment: environment)
    }

    static func compile(_ options: [String], to path: String) throws {
      try Compiler.run(
        ["-std=c11", "-shared", "-fPIC", "-I", Repository.header] + options + [
          "-o", path, "\(Repository.plugins)/hostile.c", "-lpthread",
        ])
    }
  }

  struct Ending {
    var answer: WorkerReport?
    var status: String
    var logs: [String]
    var fault: Fault? { if case .failed(let fault) = answer { fault } else { nil } }
    var isFinished: Bool { if case .finished = answer { true } else { false } }
  }

  /// The calls that only the writing side gets.
  static let written = ["pwrite", "zero", "flush", "commit"]

  func pipeline(_ call: String, _ harm: String) -> Pipeline {
    let hostile: [String: JSONValue] = ["in": .string(call), "do": .string(harm)]
    if call == "run" { return Pipeline(from: [.init("hostile", .task, hostile)], to: []) }
    var source: [String: JSONValue] = ["size": "300032"]
    var sink: [String: JSONValue] = [:]
    if Self.written.contains(call) || call == "discard" { sink = hostile } else { source.merge(hostile) { $1 } }
    if call == "zero" { source.merge(["in": "extents", "do": "zeros"]) { $1 } }
    return Pipeline(from: [.init("hostile", .source, source)], to: [.init("hostile", .sink, sink)], concurrency: 1)
  }

  func run(
    _ pipeline: Pipeline, mode: JobOrder.Mode = .run, attempt: Int = 1, hangSeconds: Int = 60,
    onHeard: (WorkerReport) -> Void = { _ in }
  ) throws -> Ending {
    let order = JobOrder(
      mode: mode, job: "job-0000000000000066", attempt: attempt, pipeline: pipeline, jobFolder: folder("job"),
      pluginFolders: [Self.plugin.folder.path, BuiltProducts.folder], concurrency: 1, stallSeconds: 5,
      hangSeconds: hangSeconds)
    var logs: [String] = []
    let end = try Self.plugin.worker.run(.order(order)) { report in
      onHeard(report)
      if case .log(_, let message) = report { logs.append(message) }
      if case .planned = report, mode == .run { return .admitted }
      return nil
    }
    return Ending(answer: end.answer, status: end.status, logs: logs)
  }

  func run(_ call: String, _ harm: String, hangSeconds: Int = 60) throws -> Ending {
    try run(pipeline(call, harm), mode: call == "discard" ? .discard : .run, hangSeconds: hangSeconds)
  }

  static let calls = [
    "plan", "open", "info", "extents", "pread", "file_range", "pwrite", "zero", "flush", "commit", "close", "run",
    "discard",
  ]

  @Test func withoutHarmItWorks() throws {
    let ending = try run("nothing", "nothing")
    #expect(ending.isFinished && ending.status == "exit code 0", "\(ending)")
  }

  /// Each call dies in two ways, and some in all.
  static let deaths: [(call: String, harm: String, told: String)] =
    calls.flatMap { [($0, "segv", "signal 11 (SIGSEGV) in "), ($0, "_exit", "exit code 0 in ")] }
    + ["open", "pread", "commit"].flatMap {
      [($0, "abort", "signal 6 (SIGABRT) in "), ($0, "kill", "signal 9 (SIGKILL) in "), ($0, "exit", "")]
    }

  @Test(arguments: deaths)
  func aCrashIsToldWithItsCall(call: String, harm: String, told: String) throws {
    let ending = try run(call, harm)
    #expect(ending.answer == nil, "\(call) \(ending)")
    #expect(ending.status.hasPrefix(told), "\(call) \(ending)")
    #expect(ending.status.contains("call \(call) of stage hostile, plugin \(Self.plugin.path)"), "\(ending)")
  }

  @Test(arguments: calls) func aHangIsToldWithItsCall(call: String) throws {
    let ending = try run(call, "hang", hangSeconds: 1)
    let fault = try #require(ending.fault, "\(call) \(ending)")
    #expect(fault.code == .hung && fault.retry == .transient)
    #expect(fault.message.contains("call \(call) of stage hostile, plugin \(Self.plugin.path)"), "\(fault)")
  }

  static let noErrors: [(call: String, harm: String)] =
    calls.filter { $0 != "close" }.map { ($0, "negative") }
    + ["open", "pread"].flatMap { [($0, "garbage"), ($0, "escape")] }

  @Test(arguments: noErrors)
  func anErrorThatIsNoneIsStillAnError(call: String, harm: String) throws {
    let ending = try run(call, harm)
    let fault = try #require(ending.fault, "\(call) \(ending)")
    #expect(fault.code == .io, "\(fault)")
    #expect(fault.message.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }, "\(fault)")
    if harm == "negative" {
      #expect(fault.message.contains("stage hostile: \(call) failed"), "\(fault)")
      #expect(fault.message.contains(Self.plugin.path), "\(fault)")
    }
  }

  @Test(arguments: calls.filter { !["close", "extents", "pread"].contains($0) })
  func aPositiveStatusIsNoSuccess(call: String) throws {
    let fault = try #require(try run(call, "positive").fault, "\(call)")
    #expect(fault.code == .pluginMisbehaved && fault.retry == .never)
    #expect(fault.message.contains("stage hostile, call \(call): answered 5"), "\(fault)")
    #expect(fault.message.contains(Self.plugin.path), "\(fault)")
  }

  @Test(arguments: [
    ("pread", "more"), ("pread", "huge"), ("pread", "positive"), ("extents", "huge"), ("extents", "lie"),
    ("info", "lie"), ("file_range", "null"), ("file_range", "standard"), ("file_range", "closed"),
  ]) func aLieIsTold(call: String, harm: String) throws {
    let fault = try #require(try run(call, harm).fault, "\(call) \(harm)")
    #expect(fault.code == .pluginMisbehaved, "\(fault)")
    // A size that is too big is found out where the bytes end.
    #expect(fault.message.contains("stage hostile, call \(call == "info" ? "pread" : call)"), "\(fault)")
  }

  @Test(arguments: [
    ("pread", "channel"), ("pread", "close"), ("open", "close"), ("pread", "threads"), ("open", "signals"),
    ("pread", "signals"), ("open", "host"), ("pread", "host"), ("pread", "descriptors"), ("plan", "threads"),
  ]) func whatHurtsNobodyIsNoFailure(call: String, harm: String) throws {
    let ending = try run(call, harm)
    #expect(ending.isFinished && ending.status == "exit code 0", "\(harm) \(ending)")
    #expect(ending.logs.allSatisfy { $0.count < 20_000 && !$0.contains("\u{1B}") })
  }

  @Test(arguments: [
    ("term", "signal 15 (SIGTERM) in "), ("overflow", "signal 11 (SIGSEGV) in "),
  ]) func otherWaysToDieAreTold(harm: String, told: String) throws {
    let ending = try run("pread", harm)
    #expect(ending.answer == nil && ending.status.hasPrefix(told), "\(ending)")
    #expect(ending.status.contains("call pread of stage hostile"), "\(ending)")
  }

  @Test func whoClosesEverythingEndsItself() throws {
    let ending = try run("pread", "close-all")
    #expect(!ending.isFinished, "\(ending)")
  }

  @Test func aRecordThatIsNoneFailsTheAttempt() throws {
    let fault = try #require(try run("run", "emit").fault)
    #expect(fault.code == .pluginMisbehaved && fault.message.contains(Self.plugin.path), "\(fault)")
  }

  @Test func aLeakEndsAtTheWorkersLimit() throws {
    let fault = try #require(try run("pread", "memory").fault)
    #expect(fault.code == "no-memory", "\(fault)")
  }

  @Test(arguments: [("fork", "no-processes"), ("exec", "no-programs")])
  func itStartsNoProcess(harm: String, code: String) throws {
    let fault = try #require(try run("pread", harm).fault)
    #expect(fault.code.rawValue == code && fault.message.contains("Operation not permitted"), "\(fault)")
    // The lock of the attempt is free, so the next one starts.
    #expect(try run(pipeline("nothing", "nothing"), attempt: 2).isFinished)
  }

  /// The neighbour is a real sink, whose partial file must go.
  @Test func theOtherSidesLeftoversAreDiscarded() throws {
    try #require(BuiltProducts.path("libdrover-stage-clone.so") != nil)
    let images = folder("images")
    try Folder.create(images)
    func image(_ harm: String) -> Pipeline {
      Pipeline(
        from: [.init("hostile", .source, ["size": "300032", "in": "pread", "do": .string(harm)])],
        to: [.init("clone", .sink, ["folder": .string(images + "/one"), "name": "one", "uuid": "1"])])
    }
    #expect(try run(image("segv")).answer == nil)
    #expect(try Folder.list(images) == ["one.partial"])
    #expect(try run(image("segv"), mode: .discard).isFinished)
    #expect(try Folder.list(images) == [])
    #expect(try run(image("nothing"), attempt: 2).isFinished)
    #expect(try Folder.list(images) == ["one"])
  }

  @Test func aFileThatIsReplacedWhileItRunsChangesNothing() throws {
    let place = TemporaryFolder("replaced")
    let path = place("libdrover-stage-hostile.so")
    try Folder.writeDurably(path, try Folder.readFile(Self.plugin.path, limit: 1 << 24), permissions: 0o755)
    var replaced = false
    let order = JobOrder(
      mode: .run, job: "job-0000000000000067", attempt: 1, pipeline: pipeline("nothing", "nothing"),
      jobFolder: folder("job"), pluginFolders: [place.path], concurrency: 1, stallSeconds: 5, hangSeconds: 60)
    let end = try Self.plugin.worker.run(.order(order)) { report in
      guard case .planned = report else { return nil }
      // Loaded by now.
      try Folder.writeDurably(path + ".new", Array("no ELF".utf8), permissions: 0o755)
      try Folder.rename(path + ".new", path)
      replaced = true
      return .admitted
    }
    guard case .finished = end.answer, replaced else {
      Issue.record("\(end)")
      return
    }
    let next = try Self.plugin.worker.run(.order(order)) { _ in nil }
    guard case .failed(let fault) = next.answer else {
      Issue.record("\(next)")
      return
    }
    #expect(fault.code == .pluginRefused && fault.message.contains(path), "\(fault)")
  }

  /// What of it was in memory is gone with the file's pages.
  @Test func aFileThatIsCutOffWhileItRunsCostsTheAttempt() throws {
    let place = TemporaryFolder("cut")
    let path = place("libdrover-stage-hostile.so")
    let whole = try Folder.readFile(Self.plugin.path, limit: 1 << 24)
    try Folder.writeDurably(path, whole, permissions: 0o755)
    let order = JobOrder(
      mode: .run, job: "job-0000000000000069", attempt: 1, pipeline: pipeline("nothing", "nothing"),
      jobFolder: folder("job"), pluginFolders: [place.path], concurrency: 1, stallSeconds: 5, hangSeconds: 60)
    let end = try Self.plugin.worker.run(.order(order)) { report in
      guard case .planned = report else { return nil }
      try #require(truncate(path, 0) == 0)
      return .admitted
    }
    // SIGBUS it is, unless a handler of it (Swift's, which prints a backtrace) stumbles over the same hole.
    let faults = ["signal 7 (SIGBUS)", "signal 11 (SIGSEGV)"]
    #expect(end.answer == nil && faults.contains { end.status.hasPrefix($0) }, "\(end)")
    #expect(end.status.contains("of stage hostile, plugin \(path)"), "\(end)")
    // The next attempt says what is wrong with the file, and the one after it was mended works.
    let refused = try Self.plugin.worker.run(.order(order)) { _ in nil }
    guard case .failed(let fault) = refused.answer else {
      Issue.record("\(refused)")
      return
    }
    #expect(fault.code == .pluginRefused && fault.message.contains(path), "\(fault)")
    try Folder.writeDurably(path, whole, permissions: 0o755)
    let mended = try Self.plugin.worker.run(.order(order)) { if case .planned = $0 { .admitted } else { nil } }
    guard case .finished = mended.answer else {
      Issue.record("\(mended)")
      return
    }
  }

  @Test(arguments: [
    ("-DHOSTILE_ENTRY=abort()", "call drover_plugin_v1, plugin ", "signal 6"),
    ("-DHOSTILE_ENTRY=_exit(0)", "call drover_plugin_v1, plugin ", "exit code 0"),
    ("-DHOSTILE_CONSTRUCTOR=abort()", "call dlopen, plugin ", "signal 6"),
    ("-DHOSTILE_CONSTRUCTOR=_exit(0)", "call dlopen, plugin ", "exit code 0"),
  ]) func aDeathWhileItIsLoadedIsTold(option: String, call: String, told: String) throws {
    let place = TemporaryFolder("early")
    let path = place("libdrover-stage-hostile.so")
    try Hostile.compile([option], to: path)
    let end = try Self.plugin.worker.run(.inspect(paths: [path])) { _ in nil }
    #expect(end.answer == nil && end.status.hasPrefix(told) && end.status.contains(call + path), "\(end)")
    let order = JobOrder(
      mode: .run, job: "job-0000000000000068", attempt: 1, pipeline: pipeline("nothing", "nothing"),
      jobFolder: folder("job"), pluginFolders: [place.path], concurrency: 1, stallSeconds: 5, hangSeconds: 60)
    let job = try Self.plugin.worker.run(.order(order)) { _ in nil }
    #expect(job.answer == nil && job.status.contains(call + path), "\(job)")
  }
}
