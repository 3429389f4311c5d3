import CDroverPlugin
import ChildProtocol
import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct FailureTests {
  /// Data, a hole, data, and a short last block.
  private static func copy() -> MemoryCopy {
    var noise = Noise(seed: 11)
    var copy = MemoryCopy(noise.bytes(3 * 4096) + [UInt8](repeating: 0, count: 8192) + noise.bytes(2 * 4096 + 512))
    copy.map = [
      drover_extent(offset: 0, length: 12288, type: DROVER_EXTENT_DATA, reserved: 0),
      drover_extent(offset: 12288, length: 8192, type: DROVER_EXTENT_ZERO, reserved: 0),
      drover_extent(offset: 20480, length: 8704, type: DROVER_EXTENT_DATA, reserved: 0),
    ]
    return copy
  }

  private static func callsOfAGoodRun() -> Int {
    let copy = copy()
    _ = Harness().run(Harness().order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
    return copy.script.calls
  }

  @Test func whicheverCallFailsForGoodNothingIsLeft() {
    let calls = Self.callsOfAGoodRun()
    // How many checkpoints fall into a run varies with its threads.
    #expect(calls > 15)
    var failed = 0
    for number in 1...calls {
      var copy = Self.copy()
      copy.script = .failing(number, FakeFailure(code: "wrong-key", message: "call \(number)"))
      let answer = Harness().run(Harness().order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
      let state = copy.disk.state.withLock { $0 }
      if let result = answer.result {
        // Calls that may fail without harm: asking again after the commit, closing.
        #expect(result.checksum == sha512(copy.bytes))
        #expect(isSame(state.committed, copy.bytes))
        continue
      }
      failed += 1
      #expect(answer.fault?.code == .wrongKey, "call \(number)")
      #expect(state.committed == nil, "call \(number)")
      #expect(state.discards >= 1, "call \(number)")
      #expect(state.identity == nil, "call \(number)")
    }
    #expect(failed > calls / 2)
  }

  @Test func whicheverCallFailsForNowTheNextAttemptEndsWell() {
    for number in 1...Self.callsOfAGoodRun() {
      var copy = Self.copy()
      copy.script = .failing(
        number, FakeFailure(code: "network", message: "call \(number)", retry: DROVER_RETRY_TRANSIENT))
      let harness = Harness()
      let first = harness.run(harness.order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
      if first.result != nil { continue }
      #expect(first.fault?.retry == .transient)
      #expect(copy.disk.state.withLock { $0.discards } == 0, "call \(number)")
      copy.script = Script()
      let again = harness.order(.copy, attempt: 2, concurrency: 2, checkpoint: harness.checkpoints.last)
      let second = harness.run(again, copy.stages(), pace: Harness.eager)
      #expect(second.result?.checksum == sha512(copy.bytes), "call \(number)")
      #expect(isSame(copy.disk.committed, copy.bytes), "call \(number)")
    }
  }

  @Test func everyDeviceIsClosedOnceWhateverFails() {
    for number in 1...Self.callsOfAGoodRun() {
      var copy = Self.copy()
      copy.script = .failing(number, FakeFailure())
      _ = Harness().run(Harness().order(.copy, concurrency: 2), copy.stages(), pace: Harness.eager)
      let names = copy.script.names
      let opened = names.enumerated().filter { $0.element == "open" && $0.offset != number - 1 }.count
      #expect(names.filter { $0 == "close" }.count == opened, "call \(number)")
    }
  }

  @Test func aSecondWorkerOnTheSameFolderIsToldThatTheFirstStillRuns() throws {
    let harness = Harness()
    let copy = Self.copy()
    let lock = try JobLock(folder: harness.folder("job"))
    let answer = withExtendedLifetime(lock) { harness.run(harness.order(.copy), copy.stages()) }
    #expect(answer.fault?.code == .locked)
    #expect(answer.fault?.retry == .transient)
    #expect(copy.script.calls == 0)
  }

  /// That nothing is left is said when it is so, and only then; a discard that fails tells of all that could not be removed.
  @Test(arguments: [false, true]) func whatCouldNotBeDiscardedIsNotSaidToBe(_ fails: Bool) {
    var copy = Self.copy()
    copy.script = Script { _, call in
      if call == "commit" { throw FakeFailure(code: "wrong-key", message: "no") }
      if call == "discard", fails { throw FakeFailure(code: "io", message: "in the way") }
    }
    let harness = Harness()
    #expect(harness.run(harness.order(.copy), copy.stages()).fault?.code == .wrongKey)
    let said = harness.reports.withLock { $0.contains { if case .discarded = $0 { true } else { false } } }
    #expect(said == !fails)
    let again = harness.run(harness.order(.copy, mode: .discard), copy.stages())
    #expect((again.fault == nil) == !fails)
    if fails { #expect(again.fault?.message == "sink: in the way; source: in the way") }
  }

  @Test func discardRemovesWhatAnAttemptLeft() {
    var copy = Self.copy()
    copy.script = Script { _, call in if call == "commit" { throw FakeFailure(retry: DROVER_RETRY_TRANSIENT) } }
    let harness = Harness()
    #expect(harness.run(harness.order(.copy), copy.stages()).fault != nil)
    #expect(copy.disk.state.withLock { $0.identity } != nil)
    #expect(harness.run(harness.order(.copy, mode: .discard), copy.stages()).result != nil)
    #expect(copy.disk.state.withLock { $0.identity } == nil)
  }

  @Test func aDeniedJobTouchesNothing() {
    let copy = Self.copy()
    let harness = Harness()
    let denial = Fault(.noSpace, "too little", retry: .transient)
    let answer = harness.run(harness.order(.copy), copy.stages(), admission: { throw denial })
    #expect(answer.fault == denial)
    #expect(copy.script.names == ["plan", "plan"])
  }

  @Test func aDryRunOnlyPlans() throws {
    let copy = Self.copy()
    let stages = copy.stages()
    stages[0].planning = { below, plan in
      #expect(below == nil)
      plan.pointee.size = 29184
      plan.pointee.data_size = 20992
    }
    stages[1].planning = { below, plan in
      plan.pointee.space = below?.pointee.data_size ?? 0
      withUnsafeMutableBytes(of: &plan.pointee.space_path) { $0.copyBytes(from: Array("/images".utf8)) }
      withUnsafeMutableBytes(of: &plan.pointee.lock) { $0.copyBytes(from: Array("image x".utf8)) }
    }
    let harness = Harness()
    #expect(harness.run(harness.order(.copy, mode: .plan), stages) == nil)
    let plan = harness.reports.withLock { $0.compactMap { if case .planned(let plan) = $0 { plan } else { nil } } }
    #expect(plan.count == 1)
    #expect(plan.first?.size == 29184)
    #expect(plan.first?.dataSize == 20992)
    #expect(plan.first?.space.map(\.path) == ["/images"])
    #expect(plan.first?.space.map(\.bytes) == [20992])
    #expect(plan.first?.locks == ["image x"])
    #expect(copy.script.names == ["plan", "plan"])
  }

  @Test func aSinkPlansForWhatTheFilterAboveItWrites() {
    let copy = Self.copy()
    let stages = copy.stages()
    stages[0].planning = { _, plan in plan.pointee.size = 1000 }
    let filter = FakeStage("filter")
    filter.planning = { below, plan in plan.pointee.size = (below?.pointee.size ?? 0) + 24 }
    stages[1].planning = { below, plan in
      plan.pointee.space = below?.pointee.size ?? 0
      withUnsafeMutableBytes(of: &plan.pointee.space_path) { $0.copyBytes(from: Array("/images".utf8)) }
    }
    let harness = Harness()
    let pipeline = Pipeline(from: [.init("source", .source)], to: [.init("filter", .filter), .init("sink", .sink)])
    #expect(harness.run(harness.order(pipeline, mode: .plan), stages + [filter]) == nil)
    let plans = harness.reports.withLock { $0.compactMap { if case .planned(let plan) = $0 { plan } else { nil } } }
    #expect(plans.first?.size == 1000)
    #expect(plans.first?.space.map(\.bytes) == [1024])
  }

  @Test func parametersAreCheckedByName() {
    let source = FakeStage("source", params: #"{"url":{"required":true,"summary":""},"ca-file":{"summary":""}}"#)
    let sink = MemoryCopy([]).stages()[1]
    func fault(_ params: [String: JSONValue]) -> Fault? {
      let pipeline = Pipeline(from: [.init("source", .source, params)], to: [.init("sink", .sink)])
      return Harness().run(Harness().order(pipeline), [source, sink]).fault
    }
    let unknown = fault(["url": "x", "uri": "y"])
    #expect(unknown?.code == .invalid)
    #expect(unknown?.message.contains("`uri`") == true)
    #expect(unknown?.hint?.contains("ca-file, url") == true)
    let missing = fault(["url": nil, "ca-file": "z"])
    #expect(missing?.code == .invalid)
    #expect(missing?.message.contains("`url`") == true)
  }

  @Test func aTaskAnswersByItsRecords() {
    let task = FakeStage("probe", roles: DROVER_ROLE_TASK)
    task.running = { open, host in
      #expect(String(cString: open.params).contains("\"target\""))
      host.emit(host.context, "progressing", #"{"n":1}"#)
      host.emit(host.context, "result", #"{"a":1}"#)
      host.emit(host.context, "result", #"{"b":"two"}"#)
    }
    let pipeline = Pipeline(from: [.init("probe", .task, ["target": "file:///x"])], to: [])
    let answer = Harness().run(Harness().order(pipeline), [task])
    #expect(answer.result?.values == ["a": 1, "b": "two"])
    task.running = { _, host in host.emit(host.context, "result", "[1]") }
    #expect(Harness().run(Harness().order(pipeline), [task]).fault?.code == .pluginMisbehaved)
    task.running = { _, _ in throw FakeFailure(code: "target-unreachable", message: "gone", retry: 2) }
    let fault = Harness().run(Harness().order(pipeline), [task]).fault
    #expect(fault?.code == .targetUnreachable)
    #expect(fault?.retry == .afterFix)
    #expect(fault?.message == "probe: gone")
  }
}
