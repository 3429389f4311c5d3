import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

@testable import Engine

/// An engine with a folder of hooks.
struct PolicyBench {
  let fixture: EngineFixture
  let host: CountingPolicyHost
  var engine: Engine { fixture.engine }

  init(
    _ files: [String: String], folder: TemporaryFolder = TemporaryFolder("policy"),
    workers: FakeWorkers = FakeWorkers(),
    host: CountingPolicyHost = CountingPolicyHost(), runs: Bool = true,
    catalog: @escaping @Sendable (String) throws -> any CatalogStore = { try Catalog(path: $0) }
  ) async throws {
    self.host = host
    try Folder.create(folder("hooks"), permissions: 0o755)
    for (name, text) in files { try Self.write(folder("hooks/\(name)"), text) }
    fixture = try await EngineFixture(
      workers, folder: folder, runs: runs, catalog: catalog, host: host,
      configure: {
        $0.hooksFolder = folder("hooks")
        // Ends by instructions, not by the clock of a busy machine.
        $0.policyDeadlineMilliseconds = 60_000
        $0.policyInstructions = 500_000
      })
  }

  static func write(_ path: String, _ text: String) throws {
    try Folder.writeDurably(path, Array(text.utf8), permissions: 0o644)
  }

  func write(_ name: String, _ text: String) throws { try Self.write(fixture.folder("hooks/\(name)"), text) }

  func files() async -> [HookFile] { await engine.policies!.files(withinSeconds: 60) }

  /// A ready image.
  func image(_ name: String) async throws {
    try await fixture.apply(EngineFixture.image(name))
    try await fixture.image(name, is: "ready")
  }

  @discardableResult
  func back(up image: String, labels: [String: JSONValue] = [:], target: String = "default") async throws
    -> ApplyOutcome
  {
    try await fixture.apply([
      "apiVersion": "longhorn.io/v1beta2", "kind": "BackupBackingImage",
      "spec": [
        "backingImage": .string(image), "userCreated": true, "labels": .object(labels),
        "backupTargetName": .string(target),
      ],
    ])
  }

  func decisions(_ key: ResourceKey) async throws -> [JSONValue] {
    try await fixture.job(of: key).status["decisions"]?.array ?? []
  }
}

private func naming(_ body: String) -> String { "return { api = 1, naming = function(ctx) \(body) end }" }
private func labelling(_ body: String) -> String { "return { api = 1, labels = function(ctx) \(body) end }" }

@Suite struct NamingTests {
  private let byDay = naming("return { name = ctx.source.name .. '-' .. ctx.now_iso:sub(1, 10) }")

  @Test func aNameThatWasNotGivenIsThePolicys() async throws {
    let bench = try await PolicyBench(["a.lua": byDay])
    try await bench.image("parrot")
    let outcome = try await bench.back(up: "parrot")
    #expect(outcome.object.metadata.name == "parrot-2023-11-14" && outcome.warnings == [])
    let key = ResourceKey(.backupBackingImage, "parrot-2023-11-14")
    let decision = try #require(try await bench.decisions(key).first)
    #expect(decision["point"] == "naming" && decision["script"] == "a.lua" && decision["fallback"] == false)
    #expect(decision["output"] == ["name": "parrot-2023-11-14"])
    #expect(decision["reason"] == "a.lua gave the name parrot-2023-11-14")
    #expect(decision["digest"]?.string == Policies.digest(Array(byDay.utf8)))
    try await bench.fixture.backup(key.name, is: "Completed")

    let context = try #require(bench.host.contexts(.naming).first)
    #expect(context["kind"] == "backupbackingimage" && context["api"] == 1 && context["point"] == "naming")
    #expect(context["source"]?["kind"] == "backingimage" && context["source"]?["name"] == "parrot")
    #expect(context["source"]?["checksum"]?.string?.count == 128)
    #expect(context["job"]?["id"]?.string == (try await bench.fixture.job(of: key)).metadata.name)

    // The store has one backup an image: without a name that one is meant, and nobody is asked.
    #expect(try await bench.back(up: "parrot").result == .unchanged)
    #expect(bench.host.contexts(.naming).count == 1)
  }

  @Test func whoGivesANameIsNotAsked() async throws {
    let bench = try await PolicyBench(["a.lua": naming("error('never')")])
    try await bench.image("parrot")
    try await bench.fixture.apply(EngineFixture.backup("mine", of: "parrot"))
    #expect(bench.host.contexts(.naming).isEmpty)
    #expect(try await bench.decisions(ResourceKey(.backupBackingImage, "mine")) == [])
  }

  @Test func aTakenNameGetsANumber() async throws {
    let bench = try await PolicyBench(["a.lua": naming("return { name = 'bird' }")])
    for name in ["parrot", "macaw", "bird"] { try await bench.image(name) }
    let long = String(repeating: "x", count: 64)
    let nameless: JSONValue = [
      "apiVersion": "longhorn.io/v1beta2", "kind": "BackingImage", "metadata": ["generateName": "b-"],
      "spec": ["sourceType": "clone", "sourceParameters": ["backing-image": "parrot", "encryption": "ignore"]],
    ]
    #expect(try await bench.back(up: "parrot").object.metadata.name == "bird")
    #expect(try await bench.back(up: "macaw").object.metadata.name == "bird-2")
    #expect(try await bench.fixture.apply(nameless).object.metadata.name == "bird-2")
    #expect(try await bench.fixture.apply(nameless).object.metadata.name == "bird-3")
    #expect(bench.host.contexts(.naming).last?["generate_name"] == "b-")
    try bench.write("a.lua", naming("return { name = '\(long)' }"))
    #expect(try await bench.fixture.apply(nameless).object.metadata.name == long)
    #expect(try await bench.fixture.apply(nameless).object.metadata.name == String(long.dropLast(2)) + "-2")
  }

  @Test func aDryRunAsksAndKeepsNothing() async throws {
    let bench = try await PolicyBench(["a.lua": naming("return { name = 'bird' }")])
    try await bench.image("parrot")
    let manifest: JSONValue = [
      "apiVersion": "longhorn.io/v1beta2", "kind": "BackupBackingImage", "spec": ["backingImage": "parrot"],
    ]
    #expect(try await bench.fixture.apply(manifest, dryRun: true).object.metadata.name == "bird")
    #expect(try await bench.engine.resources(.backupBackingImage).isEmpty)
    #expect(try Catalog(path: bench.fixture.folder("state/catalog.sqlite")).decisions() == [])
  }

  @Test(arguments: [
    ("error('no')", "a.lua:1: no"), ("while true do end", "more than 500000 instructions"),
    ("pcall(function() while true do end end) return { name = 'x1' }", "more than 500000 instructions"),
    ("return { name = 'No' }", "capital letters"), ("return { name = 7 }", "naming.name must be a string"),
    ("return { name = 'x' }", "is not valid"), ("return { nmae = 'bird' }", "did you mean name"),
    ("return 'bird'", "naming must be an object"), ("return { name = ('x'):rep(300) }", "at most 253"),
    ("return { name = '../../etc' }", "is not valid"), ("return { name = 'a\\nb' }", "is not valid"),
  ])
  func withoutAValidAnswerTheBuiltInNameIsTaken(body: String, problem: String) async throws {
    let bench = try await PolicyBench(["a.lua": naming(body)])
    try await bench.image("parrot")
    let outcome = try await bench.back(up: "parrot")
    #expect(outcome.object.metadata.name == "parrot")
    #expect(outcome.warnings.count == 1 && outcome.warnings[0].contains(problem), "\(outcome.warnings)")
    let key = ResourceKey(.backupBackingImage, "parrot")
    let decision = try #require(try await bench.decisions(key).first)
    #expect(decision["fallback"] == true && decision["warning"]?.string == outcome.warnings[0])
    #expect(decision["reason"] == "the built-in name parrot")
    let events = try await bench.engine.describe(key).events
    #expect(events.contains { $0.type == .warning && $0.message == outcome.warnings[0] })
    try await bench.fixture.backup("parrot", is: "Completed")
  }

  @Test func withoutHooksABackupIsCalledAsItsImage() async throws {
    for files in [[:], ["a.lua": naming("return {}")], ["a.lua": naming("return nil")]] {
      let bench = try await PolicyBench(files)
      try await bench.image("parrot")
      try await bench.fixture.apply(EngineFixture.target("usb", "file://\(bench.fixture.folder("usb"))"))
      #expect(try await bench.back(up: "parrot").object.metadata.name == "parrot")
      let outcome = try await bench.back(up: "parrot", target: "usb")
      #expect(outcome.object.metadata.name == "parrot-usb" && outcome.warnings == [])
    }
  }
}

@Suite struct LabelsTests {
  private let byTeam = labelling("return { set = { team = 'birds', usecase = 'x' }, unset = { 'tmp' } }")

  private func written(_ bench: PolicyBench, _ key: ResourceKey) async throws -> JSONValue? {
    let job = try await bench.fixture.job(of: key).metadata.name
    return bench.fixture.workers.orders(job).last?.pipeline.to.first?.params["labels"]
  }

  @Test func aBackupHasTheLabelsThatThePolicyGives() async throws {
    let bench = try await PolicyBench(["a.lua": byTeam])
    try await bench.image("parrot")
    try await bench.back(up: "parrot", labels: ["usecase": "test", "tmp": "1", "type": "raw"])
    let key = ResourceKey(.backupBackingImage, "parrot")
    try await bench.fixture.backup("parrot", is: "Completed")
    #expect(try await written(bench, key) == ["team": "birds", "usecase": "x", "type": "raw"])
    let decision = try #require(try await bench.decisions(key).first)
    #expect(decision["point"] == "labels")
    #expect(decision["reason"] == "a.lua made the labels team=birds, type=raw, usecase=x")
    #expect(bench.host.contexts(.labels).first?["labels"] == ["usecase": "test", "tmp": "1", "type": "raw"])
    // What was asked for stays as it was said.
    #expect(try await bench.fixture.backup("parrot").spec["labels"]?["usecase"] == "test")
  }

  /// Name and labels, with the volume as what it is made from.
  @Test func aVolumesBackupIsNamedAndLabelled() async throws {
    let folder = TemporaryFolder("policy")
    try Folder.create(folder("plugins"))
    try Folder.writeDurably(folder("plugins/drover-stage-volume.so"), [])
    let bench = try await PolicyBench(
      [
        "a.lua": """
        return { api = 1,
          naming = function(ctx) return { name = ctx.source.name .. '-' .. ctx.kind } end,
          labels = function(ctx) return { set = { of = ctx.source.kind } } end }
        """
      ], folder: folder)
    try await bench.fixture.apply(EngineFixture.manifest("Volume", "vol1", ["size": "2097152"]))
    let outcome = try await bench.fixture.apply([
      "apiVersion": "longhorn.io/v1beta2", "kind": "Backup",
      "spec": ["volumeName": "vol1", "labels": ["k": "v"]],
    ])
    let key = ResourceKey(.backup, "vol1-backup")
    #expect(outcome.object.metadata.name == key.name && outcome.warnings == [])
    try await eventually("it is complete") {
      try await bench.engine.resource(key).status["state"]?.string == "Completed"
    }
    let labels = try #require(try await written(bench, key))
    #expect(labels["k"] == "v" && labels["of"] == "volume" && labels["longhorn.io/volume-access-mode"] == "rwo")
    #expect(bench.host.contexts(.labels).last?["kind"] == "backup")
    #expect(bench.host.contexts(.naming).first?["source"]?["name"] == "vol1")
    let snapshot = try await bench.engine.resource(ResourceKey(.snapshot, "vol1-backup"))
    #expect(snapshot.status["readyToUse"] == true)
  }

  @Test(arguments: [
    ("error('no')", "a.lua:1: no"), ("return { set = { ['-x'] = 'y' } }", "is not a label key"),
    ("return { set = { x = 1 } }", "must be a string"), ("return { set = 'x' }", "must be an object"),
    ("return { unset = 'x' }", "must be an array"), ("return { unset = { 1 } }", "must be a string"),
    ("return { add = {} }", "labels.add"), ("return { set = { x = ('y'):rep(5000) } }", "at most 4096"),
    ("local t = {} for i = 1, 300 do t['k' .. i] = '' end return { set = t }", "at most 256"),
  ])
  func withoutAValidAnswerTheyAreInherited(body: String, problem: String) async throws {
    let bench = try await PolicyBench(["a.lua": labelling(body)])
    try await bench.image("parrot")
    try await bench.back(up: "parrot", labels: ["usecase": "test"])
    let key = ResourceKey(.backupBackingImage, "parrot")
    try await bench.fixture.backup("parrot", is: "Completed")
    #expect(try await written(bench, key) == ["usecase": "test"])
    let decision = try #require(try await bench.decisions(key).first)
    #expect(decision["fallback"] == true && decision["warning"]?.string?.contains(problem) == true, "\(decision)")
  }

  @Test func whatIsPrintedGoesToTheJobsLog() async throws {
    let bench = try await PolicyBench(["a.lua": labelling("print('size is', ctx.source.size) return {}")])
    try await bench.image("parrot")
    try await bench.back(up: "parrot")
    try await bench.fixture.backup("parrot", is: "Completed")
    let job = try await bench.fixture.job(of: ResourceKey(.backupBackingImage, "parrot")).metadata.name
    var lines: [String] = []
    for try await line in try await bench.engine.jobLog(job, from: 0, follow: false) { lines.append(line.message) }
    #expect(lines.contains { $0.hasPrefix("a.lua: size is\t") })
    #expect(lines.contains("labels: a.lua left the labels as they are"))
  }

  @Test func attemptsAndRestartsRepeatTheDecision() async throws {
    let folder = TemporaryFolder("policy")
    let host = CountingPolicyHost()
    let labels = try await labelsOfARunningBackup(folder, host)
    // Another policy by now: what was decided stays.
    try PolicyBench.write(folder("hooks/a.lua"), labelling("return { set = { other = 'x' } }"))
    let second = FakeWorkers()
    let again = try await restarted(folder, second, host)
    try await again.backup("parrot", is: "Completed")
    #expect(second.orders.last?.pipeline.to.first?.params["labels"] == labels)
    #expect(host.contexts(.labels).count == 1)
  }

  /// Starts a backup, and ends the daemon while it runs.
  private func labelsOfARunningBackup(_ folder: TemporaryFolder, _ host: CountingPolicyHost) async throws -> JSONValue {
    let workers = FakeWorkers()
    let bench = try await PolicyBench(
      ["a.lua": labelling("return { set = { at = ctx.now_iso, n = tostring(ctx.now) } }")], folder: folder,
      workers: workers, host: host)
    try await bench.image("parrot")
    workers.copies { worker, _ in await worker.runUntilStopped() }
    try await bench.back(up: "parrot")
    let key = ResourceKey(.backupBackingImage, "parrot")
    let job = try await bench.fixture.job(of: key).metadata.name
    try await eventually("the backup runs") { !workers.orders(job).isEmpty }
    let labels = try #require(try await written(bench, key))
    try await bench.fixture.stop()
    return labels
  }

  private func restarted(
    _ folder: TemporaryFolder, _ workers: FakeWorkers, _ host: CountingPolicyHost
  ) async throws -> EngineFixture {
    // The lock on STATE goes with the last reference to the engine before.
    try await eventually("the state folder is free") {
      try? await EngineFixture(workers, folder: folder, host: host, configure: { $0.hooksFolder = folder("hooks") })
    }
  }

  /// The disk goes away at each commit in turn, right before or right after it took effect; then a new daemon starts.
  @Test func aCrashAtAnyCommitAsksAgainForNothingThatIsWritten() async throws {
    for tookEffect in [false, true] {
      var number = 1
      while try await crash(at: number, tookEffect: tookEffect) { number += 1 }
      #expect(number > 3)
    }
  }

  /// False once the failure came after the end.
  private func crash(at number: Int, tookEffect: Bool) async throws -> Bool {
    let folder = TemporaryFolder("policy")
    let host = CountingPolicyHost()
    let counter = CommitCounter(fails: .max, tookEffect: tookEffect)
    let script = """
      return { api = 1, naming = function(ctx) return { name = "n" .. ctx.now } end,
        labels = function(ctx) return { set = { at = tostring(ctx.now) } } end }
      """
    let name: String
    do {
      let bench = try await PolicyBench(
        ["a.lua": script], folder: folder, host: host, catalog: { FailingCatalog(try Catalog(path: $0), counter) })
      try await bench.image("parrot")
      counter.start(failingAt: number)
      let outcome = try? await bench.back(up: "parrot")
      if let outcome {
        try await eventually("the disk fails, or all is done") {
          if counter.hasFailed { return true }
          let status = try await bench.fixture.backup(outcome.object.metadata.name).status
          return status["state"] == "Completed"
        }
      }
      bench.fixture.workers.die()
      try await bench.fixture.stop()
    }
    let written = try Catalog(path: folder("state/catalog.sqlite")).decisions()
    let asked = host.contexts(.labels).count
    let workers = FakeWorkers()
    let again = try await restarted(folder, workers, host)
    let backups = try await again.engine.resources(.backupBackingImage)
    if let backup = backups.first {
      name = backup.metadata.name
      try await again.backup(name, is: "Completed")
      let decisions = try await again.job(of: ResourceKey(.backupBackingImage, name)).status["decisions"]?.array ?? []
      #expect(decisions.map { $0["point"] } == ["naming", "labels"])
      #expect(decisions.first?["output"]?["name"]?.string == name)
      let wasWritten = written.contains { $0.decision.point == .labels }
      #expect(host.contexts(.labels).count == asked + (wasWritten ? 0 : 1))
      let job = try await again.job(of: ResourceKey(.backupBackingImage, name)).metadata.name
      if let order = workers.orders(job).last {
        #expect(order.pipeline.to.first?.params["labels"]?["at"] == decisions.last?["output"]?["set"]?["at"])
      }
    } else {
      #expect(written == [], "a decision without what it decided")
    }
    try await again.stop()
    return counter.hasFailed
  }
}

@Suite struct HookFolderTests {
  @Test func theLastFileThatHandlesAPointIsAsked() async throws {
    let both = "return { api = 1, naming = function() return {} end, labels = function() return {} end }"
    let bench = try await PolicyBench([
      "10-a.lua": both, "20-b.lua": naming("return { name = 'from-b' }"), "README.md": "no", ".hidden.lua": "(",
    ])
    let files = await bench.files()
    #expect(files.map(\.file) == ["10-a.lua", "20-b.lua"])
    #expect(files.map(\.points) == [["naming", "labels"], ["naming"]])
    #expect(files.map(\.asked) == [["labels"], ["naming"]])
    #expect(files.allSatisfy { $0.active && $0.error == nil })
    try bench.write("30-c.lua", both)
    #expect(await bench.files().map(\.active) == [false, false, true])
    try await bench.image("parrot")
    try Folder.remove(file: bench.fixture.folder("hooks/30-c.lua"))
    #expect(try await bench.back(up: "parrot").object.metadata.name == "from-b")
  }

  @Test func aBrokenFileLeavesTheVersionBefore() async throws {
    let bench = try await PolicyBench(["a.lua": naming("return { name = 'old' }")])
    for name in ["parrot", "macaw", "bird"] { try await bench.image(name) }
    #expect(await bench.files().first?.error == nil)
    try bench.write("a.lua", "\nreturn { api = 1,\n  naming = function(ctx) retrun ctx end }")
    var file = try #require(await bench.files().first)
    #expect(file.error?.line == 3 && file.error?.message.contains("a.lua:3:") == true, "\(file)")
    #expect(file.active && file.points == ["naming"])
    let status = try await bench.engine.status().hooks
    #expect(status == [file])
    #expect(try await bench.back(up: "parrot").object.metadata.name == "old")
    for broken in ["while true do end", "return {}", "return { api = 2, naming = print }", "\u{1b}Lua"] {
      try bench.write("a.lua", broken)
      #expect(try #require(await bench.files().first).error != nil)
    }
    #expect(try await bench.back(up: "macaw").object.metadata.name == "old-2")
    try bench.write("a.lua", naming("return { name = 'new' }"))
    file = try #require(await bench.files().first)
    #expect(file.error == nil && file.active)
    #expect(try await bench.back(up: "bird").object.metadata.name == "new")
    try Folder.remove(file: bench.fixture.folder("hooks/a.lua"))
    #expect(await bench.files() == [])
  }

  @Test func aFileThatIsBrokenFromTheStartHandlesNothing() async throws {
    let bench = try await PolicyBench(["a.lua": "return {", "b.lua": naming("return { name = 'works' }")])
    try await bench.image("parrot")
    #expect(await bench.files().map(\.active) == [false, true])
    #expect(try await bench.back(up: "parrot").object.metadata.name == "works")
  }

  @Test func whatOthersCanWriteIsRefused() async throws {
    let bench = try await PolicyBench(["a.lua": naming("return { name = 'mine' }"), "b.lua": naming("return {}")])
    let (folder, file) = (bench.fixture.folder("hooks"), bench.fixture.folder("hooks/b.lua"))
    #expect(await bench.files().allSatisfy { $0.error == nil })
    try setPermissions(file, 0o666)
    var files = await bench.files()
    #expect(files.map { $0.error?.message.contains("can be written by others (mode 666)") } == [nil, true])
    // What it was before that stays in use; what others write there now does not.
    let before = files[1].digest
    #expect(files.map(\.active) == [false, true])
    try Array(naming("return { name = 'planted' }").utf8).withUnsafeBytes {
      try OpenFile.open(file, .readWrite).write($0, at: 0)
    }
    #expect(await bench.files()[1].digest == before)
    try setPermissions(file, 0o644)
    files = await bench.files()
    #expect(files.allSatisfy { $0.error == nil } && files[1].digest != before)
    try setPermissions(folder, 0o777)
    files = await bench.files()
    #expect(files.first?.file == folder && files.first?.error?.message.contains("can be written by others") == true)
    try bench.write("c.lua", naming("return { name = 'planted' }"))
    #expect(await bench.files().contains { $0.file == "c.lua" } == false)
  }

  private func setPermissions(_ path: String, _ mode: UInt32) throws {
    guard chmod(path, mode) == 0 else { throw SystemError("chmod", path: path, errno: errno) }
  }

  @Test func tryingAHookDoesNothing() async throws {
    let bench = try await PolicyBench([
      "a.lua": """
      return { api = 1, naming = function(ctx) return { name = ctx.source.name .. "-x" } end,
        labels = function(ctx) print("hm") return { set = { a = "b" } } end }
      """
    ])
    try await bench.image("parrot")
    let live = try await bench.engine.testHook(.naming, .live(ResourceKey(.backingImage, "parrot")))
    #expect(live.result == "parrot-x" && live.repeatable && live.decision?.fallback == false)
    #expect(live.input["source"]?["size"]?.int != nil)
    let labels = try await bench.engine.testHook(.labels, .input(["labels": ["c": "d"]]))
    #expect(labels.result == ["a": "b", "c": "d"] && labels.printed == "hm\n")
    let failed = try await bench.engine.testHook(.naming, .input([:]))
    #expect(failed.decision?.fallback == true && failed.decision?.warning?.contains("a.lua:1:") == true)
    #expect(failed.repeatable)
    #expect(try await bench.engine.resources(.backupBackingImage).isEmpty)
    #expect(
      await bench.fixture.fault { try await bench.engine.testHook(.retention, .input([:])) }?.code == .notSupported)
    #expect(
      await bench.fixture.fault { try await bench.engine.testHook(.naming, .live(ResourceKey(.backingImage, "no"))) }?
        .code
        == .notFound)
    #expect(await bench.fixture.fault { try await bench.engine.testHook(.naming, .input(1)) }?.code == .invalid)
  }
}
