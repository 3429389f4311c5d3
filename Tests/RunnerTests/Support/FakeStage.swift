import CDroverPlugin
import DroverModel
import TestKit

@testable import Runner

/// A stage made of closures behind the C ABI, so that no shared object is needed.
final class FakeStage: @unchecked Sendable {
  // Sendable: set up before the runner sees it.
  typealias Opening = (drover_open, drover_host) throws -> FakeDevice
  let name: String
  var opening: Opening = { _, _ in throw FakeFailure(code: "internal", message: "not a device") }
  var running: (drover_open, drover_host) throws -> Void = { _, _ in }
  var discarding: (drover_open) throws -> Void = { _ in }
  var planning: (UnsafePointer<drover_plan>?, UnsafeMutablePointer<drover_plan>) throws -> Void = { _, _ in }
  /// Every stage function that is not a device's.
  var script = Script()
  private(set) var loaded: LoadedStage!

  init(
    _ name: String, roles: UInt32 = DROVER_ROLE_SOURCE | DROVER_ROLE_FILTER | DROVER_ROLE_SINK, parallel: Bool = true,
    params: String? = nil, open: @escaping Opening = { _, _ in throw FakeFailure() }
  ) {
    self.name = name
    opening = open
    let table = UnsafeMutablePointer<drover_stage>.allocate(capacity: 1)
    var stage = drover_stage()
    stage.struct_size = MemoryLayout<drover_stage>.size
    stage.name = Self.leak(name)
    stage.summary = Self.leak("fake")
    stage.roles = roles
    stage.threads = parallel ? DROVER_THREADS_PARALLEL : DROVER_THREADS_SERIAL
    stage.params = params.map { Self.leak($0) }
    stage.device = FakeDevice.operations
    stage.context = Unmanaged.passRetained(self).toOpaque()
    Self.addFunctions(&stage)
    table.initialize(to: stage)
    loaded = try! LoadedStage(plugin: "fake.so", descriptor: UnsafePointer(table))
  }

  private static func leak(_ text: String) -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8CString)
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    copy.initialize(from: bytes, count: bytes.count)
    return UnsafePointer(copy)
  }

  private static func of(_ stage: UnsafePointer<drover_stage>?) -> FakeStage {
    Unmanaged<FakeStage>.fromOpaque(stage!.pointee.context!).takeUnretainedValue()
  }

  private static func addFunctions(_ stage: inout drover_stage) {
    stage.open = { stage, host, open, handle, error in
      Int32(
        answer(error) {
          let fake = FakeStage.of(stage)
          try fake.script.hit("open")
          handle!.pointee = Unmanaged.passRetained(try fake.opening(open!.pointee, host!.pointee)).toOpaque()
          return 0
        })
    }
    stage.plan = { stage, _, _, below, plan, error in
      Int32(
        answer(error) {
          let fake = FakeStage.of(stage)
          try fake.script.hit("plan")
          try fake.planning(below, plan!)
          return 0
        })
    }
    stage.run = { stage, host, open, error in
      Int32(
        answer(error) {
          let fake = FakeStage.of(stage)
          try fake.script.hit("run")
          try fake.running(open!.pointee, host!.pointee)
          return 0
        })
    }
    stage.discard = { stage, _, open, error in
      Int32(
        answer(error) {
          let fake = FakeStage.of(stage)
          try fake.script.hit("discard")
          try fake.discarding(open!.pointee)
          return 0
        })
    }
  }
}

/// The stages of one test.
struct FakeLibrary: StageLibrary {
  var stages: [FakeStage]
  mutating func stage(named name: String) throws -> LoadedStage {
    guard let stage = stages.first(where: { $0.name == name }) else {
      throw Fault(.unknownStage, "no fake stage is called `\(name)`")
    }
    return stage.loaded
  }
}
