import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import LocalWorker
import TestKit
import Testing

/// `drover plugin check`, as the command line starts it: what we ship passes it, and what is wrong is found.
@Suite(.enabled(if: BuiltProducts.path("drover-worker") != nil, "this build has no worker"))
struct CheckTests {
  let folder = TemporaryFolder("check")
  let worker: LocalWorker

  init() throws {
    var environment = ["PATH": "/usr/bin:/bin"]
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
    worker = try LocalWorker(path: BuiltProducts.path("drover-worker") ?? "", environment: environment)
  }

  func check(
    _ path: String, stage: String? = nil, role: Pipeline.Role? = nil, _ params: [String: [String: JSONValue]] = [:],
    mayLeave: [String] = [], hangSeconds: Int = 60
  ) throws -> PluginCheck {
    let check = try worker.check(
      CheckOrder(
        path: path, stage: stage, role: role, params: params, mayLeave: mayLeave, scratch: folder("scratch"),
        hangSeconds: hangSeconds, cases: 8))
    // Nothing stays of any case, but of one whose worker died.
    if !check.steps.contains(where: {
      $0.detail?.contains("worker ended") == true || $0.detail?.contains("sign of life") == true
    }) {
      #expect(try Folder.listIfPresent(folder("scratch")) ?? [] == [])
    }
    return check
  }

  func expectPassed(_ check: PluginCheck, steps: [String], sourceLocation: SourceLocation = #_sourceLocation) {
    let failed = check.steps.filter { $0.outcome == .failed }
    #expect(failed.isEmpty, "\(failed)", sourceLocation: sourceLocation)
    #expect(check.passed && check.name != nil, sourceLocation: sourceLocation)
    let passed = Set(check.steps.filter { $0.outcome == .passed }.map(\.name))
    #expect(passed.isSuperset(of: steps), "\(check.steps)", sourceLocation: sourceLocation)
  }

  static let copying = [
    "copies of odd sizes", "an error at every call", "no space at every call", "a cancel at every call",
  ]
  static let reading = ["extents", "reads", "reads at once"]

  func builtIn(_ name: String) throws -> String {
    try #require(BuiltProducts.path("libdrover-stage-\(name).so"), "this build has no such plugin")
  }

  func image() throws -> String {
    var noise = Noise(seed: 7)
    let bytes = noise.bytes(1 << 20) + [UInt8](repeating: 0, count: 2 << 20) + noise.bytes(512)
    try Folder.writeDurably(folder("image"), bytes)
    return folder("image")
  }

  @Test(.timeLimit(.minutes(3))) func clonePasses() throws {
    let check = try check(
      try builtIn("clone"),
      [
        "source": ["path": .string(try image())],
        "sink": ["folder": "{folder}/image", "name": "x", "uuid": "{case}"],
      ])
    expectPassed(
      check,
      steps: Self.copying + Self.reading + ["goes on at every checkpoint", "commits again", "writes in any order"])
  }

  @Test(.timeLimit(.minutes(3))) func filePasses() throws {
    let check = try check(try builtIn("file"), ["": ["path": "{folder}/out", "replace": true]])
    expectPassed(check, steps: Self.copying + ["writes in any order"])
  }

  @Test(.timeLimit(.minutes(3))) func downloadPasses() throws {
    let web = try TestHTTPServer()
    let file = ServedFile(try Folder.readFile(try image(), limit: 1 << 24))
    web.serve("/image") { file.answer($0) }
    let check = try check(try builtIn("download"), ["": ["url": .string(web.url("/image"))]])
    expectPassed(check, steps: Self.copying + ["reads", "goes on at every checkpoint"])
  }

  @Test(.timeLimit(.minutes(3))) func uploadAndSavePass() throws {
    let check = try check(
      try builtIn("upload"),
      ["source": ["descriptor": "{stream}", "size": "{size}"], "sink": ["descriptor": "{drain}"]])
    expectPassed(check, steps: Self.copying + ["reads"])
    let endless = try self.check(try builtIn("upload"), stage: "upload", ["": ["descriptor": "{stream}"]])
    expectPassed(endless, steps: Self.copying + ["reads"])
  }

  @Test(.timeLimit(.minutes(3))) func thePluginsOfTheManualPass() throws {
    let pattern = try CompiledPlugin("pattern", .c11, .current)
    expectPassed(
      try check(pattern.path, ["": ["size": "1000448"]]),
      steps: Self.copying + ["reads", "reads at once", "goes on at every checkpoint"])
    let xor = try CompiledPlugin("xor", .c11, .current)
    let check = try check(xor.path, ["": ["key": "255"]])
    expectPassed(
      check,
      steps: Self.copying.flatMap { ["reading: \($0)", "writing: \($0)"] } + [
        "reading: reads", "writing: writes in any order",
      ])
  }

  // MARK: What is found

  /// A stage that goes wrong in one call, and the step that says so.
  @Test(
    .timeLimit(.minutes(3)),
    arguments: [
      ("pread", "segv", "reads", "SIGSEGV"), ("pread", "more", "reads", "call pread"),
      ("extents", "zeros", "extents", "are said to be zero"), ("extents", "lie", "extents", "unknown type"),
      ("open", "leak", "opens and closes", "still has open: /dev/null"),
      ("close", "leak", "opens and closes", "still has open: /dev/null"),
      ("plan", "touch", "plan has no effect", "hostile.mark"), ("plan", "positive", "plan has no effect", "answered 5"),
      ("close", "_exit", "opens and closes", "call close of stage hostile"),
      ("pread", "close", "leaves the process alone", "descriptor 0"),
      ("open", "chdir", "leaves the process alone", "working folder"),
      ("discard", "negative", "no space at every call", "discard failed"),
      ("info", "lie", "reads", "call pread"),
    ]) func aFaultOfASourceIsFound(call: String, harm: String, step: String, told: String) throws
  {
    let check = try check(
      HostileTests.plugin.path, role: .source,
      ["source": ["size": "300032", "in": .string(call), "do": .string(harm)]])
    #expect(!check.passed)
    let found = check.steps.filter { $0.outcome == .failed && ($0.role == .source || $0.role == nil) }
    #expect(found.contains { $0.name == step && $0.detail?.contains(told) == true }, "\(check.steps)")
    // What comes behind it was checked all the same.
    #expect(check.steps.last?.name == "leaves the process alone", "\(check.steps)")
  }

  @Test(.timeLimit(.minutes(3))) func aHangIsFound() throws {
    let check = try check(
      HostileTests.plugin.path, role: .source, ["source": ["size": "300032", "in": "plan", "do": "hang"]],
      hangSeconds: 1)
    let found = check.steps.filter { $0.outcome == .failed }
    #expect(found.contains { $0.detail?.contains("call plan of stage hostile") == true }, "\(check.steps)")
  }

  @Test func whatIsNoPluginIsOneStep() throws {
    let check = try check("/bin/true")
    #expect(!check.passed && check.steps.map(\.name) == ["loads"], "\(check)")
    let absent = try self.check(folder("absent.so"))
    #expect(!absent.passed && absent.steps.first?.detail?.contains("absent.so") == true, "\(absent)")
    let stage = try self.check(HostileTests.plugin.path, stage: "elsewhere")
    #expect(!stage.passed && stage.steps.last?.detail == nil, "\(stage)")
  }
}
