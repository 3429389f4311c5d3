import ChildProtocol
import DroverModel
import StageKit
import Synchronization
import TestKit
import Testing

@testable import BackupStage
@testable import RestoreStage
@testable import Runner

/// What `drover plugin check` does with the stages of a store, in this process, since there the locks can be made brisk.
@Suite struct StoreCheckTests {
  let folder = TemporaryFolder("store-check")

  func check(_ stage: any Stage.Type, _ params: [String: JSONValue]) -> [PluginCheck.Step] {
    let plugin = Plugin(name: stage.name, version: "1.0", stages: [stage])
    let steps = Mutex<[PluginCheck.Step]>([])
    nonisolated(unsafe) let descriptor = plugin.descriptor
    let order = CheckOrder(
      path: "of this process", params: ["": params], mayLeave: [".blk ("], scratch: folder("scratch"), hangSeconds: 60,
      cases: 3)
    PluginChecker(
      order, secrets: [], notes: nil, ownsProcess: false,
      load: { try PluginImage(path: "of this process", descriptor: descriptor) },
      say: { report in if case .checked(let step) = report { steps.withLock { $0.append(step) } } },
      hung: { Issue.record("\($0)") }
    ).run()
    return steps.withLock { $0 }
  }

  /// A backup of some blocks and an odd one, called parrot.
  func makeBackup() throws {
    let plugin = Plugin(name: "backup", version: "1.0", stages: [BackupStage.self])
    let image = try PluginImage(path: "of this process", descriptor: plugin.descriptor)
    let source = try ScratchStage(content: ScratchContent(size: (4 << 20) + 512))
    let order = JobOrder(
      mode: .run, job: "job-0000000000000001", attempt: 1,
      pipeline: Pipeline(
        from: [.init(ScratchStage.sourceName, .source)],
        to: [
          .init(
            "backup", .sink,
            ["target": .string("file://\(folder("store"))"), "name": "parrot", "create": true])
        ]), jobFolder: folder("job"), pluginFolders: [], concurrency: 2, stallSeconds: 30, hangSeconds: 60)
    var attempt = Attempt(
      order: order, secrets: [], library: CheckLibrary(stages: [source.loaded] + image.stages),
      job: JobContext(interruption: Interruption()) { _ in }, admission: {}, hung: { Issue.record("\($0)") })
    guard case .finished = attempt.run() else {
      Issue.record("no backup was made")
      return
    }
  }

  func expectPassed(_ steps: [PluginCheck.Step], _ names: [String]) {
    let failed = steps.filter { $0.outcome == .failed }
    #expect(failed.isEmpty, "\(failed)")
    let passed = Set(steps.filter { $0.outcome == .passed && $0.cases > 0 }.map(\.name))
    #expect(passed.isSuperset(of: names), "\(steps)")
  }

  static let copying = [
    "copies of odd sizes", "an error at every call", "no space at every call", "a cancel at every call",
    "goes on at every checkpoint",
  ]

  @Test(.timeLimit(.minutes(3))) func backupPasses() {
    BackupStage.$timing.withValue(.brisk) {
      let steps = check(
        BackupStage.self, ["target": "file://{folder}/store", "name": "image-{case}", "create": true])
      expectPassed(steps, Self.copying + ["commits again", "writes in any order"])
    }
  }

  @Test(.timeLimit(.minutes(3))) func restorePasses() throws {
    try BackupStage.$timing.withValue(.brisk) { try makeBackup() }
    RestoreStage.$timing.withValue(.brisk) {
      let steps = check(RestoreStage.self, ["url": .string("file://\(folder("store"))?backingImage=parrot")])
      expectPassed(steps, Self.copying + ["extents", "reads", "reads at once"])
    }
  }
}
