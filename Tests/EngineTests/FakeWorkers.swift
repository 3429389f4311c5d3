import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization

@testable import Engine

/// Plays workers inside the test: each order is answered by a script.
final class FakeWorkers: WorkerLauncher {
  typealias Script = @Sendable (FakeWorker, JobOrder) async -> Void

  private struct State {
    var orders: [JobOrder] = []
    var running: [String: Int] = [:]
    var overlaps: [String] = []
    var mostAtOnce = 0
    var nextPid: Int32 = 1000
    var copy: Script
    var task: Script
    var discard: Script
    var plan: Script = { worker, _ in worker.say(.planned(JobPlan(size: 512))) }
    var launchFault: Fault?
    var descriptors: [String: [Int32]] = [:]
    var workers: [Int32: FakeWorker] = [:]
    var secrets: [(job: String, mode: JobOrder.Mode, named: [(stage: Int, name: String, value: SecretBytes)])] = []
  }

  private let state: Mutex<State>
  /// Raised with each order.
  let ordered = ChangeSignal()

  /// - Parameters:
  ///   - copy: Jobs that copy, in `run` mode.
  ///   - task: Tasks: probing, inspecting, deleting.
  init(
    copy: @escaping Script = { await $0.succeed($1) }, task: @escaping Script = { await $0.succeed($1) },
    discard: @escaping Script = { worker, _ in worker.say(.finished(JobResult())) }
  ) {
    state = Mutex(State(copy: copy, task: task, discard: discard))
  }

  func copies(_ script: @escaping Script) { state.withLock { $0.copy = script } }
  func tasks(_ script: @escaping Script) { state.withLock { $0.task = script } }
  func discards(_ script: @escaping Script) { state.withLock { $0.discard = script } }
  func plans(_ script: @escaping Script) { state.withLock { $0.plan = script } }
  /// Of all kinds, so far.
  var launches: Int { state.withLock { Int($0.nextPid) - 1000 } }
  /// The next launches fail.
  func failLaunches(_ fault: Fault?) { state.withLock { $0.launchFault = fault } }

  /// All orders of copying jobs and of discards, in the order they came.
  var orders: [JobOrder] { state.withLock { $0.orders } }
  func orders(_ job: String) -> [JobOrder] { orders.filter { $0.job == job } }
  /// Jobs that had two workers at once. Never any.
  var overlaps: [String] { state.withLock { $0.overlaps } }
  /// Copying jobs.
  var mostAtOnce: Int { state.withLock { $0.mostAtOnce } }
  /// `stage name value` of each secret that came with the orders of a mode.
  func secrets(_ mode: JobOrder.Mode, of job: String? = nil) -> [[String]] {
    state.withLock { state in
      state.secrets.filter { $0.mode == mode && (job == nil || $0.job == job) }.map { order in
        order.named.map { "\($0.stage) \($0.name) \($0.value.withBytes { String(decoding: $0, as: UTF8.self) })" }
      }
    }
  }

  func descriptors(_ job: String) -> [Int32] { state.withLock { $0.descriptors[job] ?? [] } }

  /// As a crash of the daemon does: the end of the channel ends every worker.
  func die() {
    for worker in state.withLock({ Array($0.workers.values) }) { worker.kill() }
  }

  func launch(
    _ command: WorkerCommand, secrets: [SecretBytes], descriptors: [(parent: Int32, child: Int32)],
    heard: @escaping @Sendable (WorkerEvent) -> Void
  ) throws -> any Worker {
    let (fault, pid) = state.withLock { state in
      state.nextPid += 1
      return (state.launchFault, state.nextPid)
    }
    if let fault { throw fault }
    let worker = FakeWorker(pid: pid, heard: heard) { [self] in over(pid, command) }
    switch command {
    case .inspect(let paths):
      worker.say(.inspected(paths.map { PluginReport(path: $0, name: "fake", stages: Self.stages) }))
      worker.end("exit code 0")
    case .order(let order):
      state.withLock { state in
        state.workers[pid] = worker
        let named = zip(order.secretNames, secrets).map { (stage: $0.stage, name: $0.name, value: $1) }
        state.secrets.append((order.job, order.mode, named))
        state.descriptors[order.job] = descriptors.map(\.child)
        if order.mode != .plan, order.job.hasPrefix("job-") {
          state.running[order.job, default: 0] += 1
          if state.running[order.job]! > 1 { state.overlaps.append(order.job) }
          state.mostAtOnce = max(state.mostAtOnce, state.running.values.count { $0 > 0 })
          state.orders.append(order)
        }
      }
      ordered.raise()
      let script = script(for: order)
      Task {
        await script(worker, order)
        worker.end("exit code 0")
      }
    default: worker.end("exit code 2")
    }
    return worker
  }

  private func over(_ pid: Int32, _ command: WorkerCommand) {
    guard case .order(let order) = command else { return }
    state.withLock { state in
      state.workers[pid] = nil
      if order.mode != .plan, order.job.hasPrefix("job-") { state.running[order.job, default: 0] -= 1 }
    }
  }

  private func script(for order: JobOrder) -> Script {
    state.withLock { state in
      switch order.mode {
      case .plan: state.plan
      case .discard: state.discard
      case .run, .serve: order.pipeline.from.first?.role == .task ? state.task : state.copy
      }
    }
  }

  private static let stages = [
    PluginReport.StageReport(name: "tape", summary: "", roles: [.source], parallel: false, network: false),
    PluginReport.StageReport(name: "volume-task", summary: "", roles: [.task], parallel: false, network: false),
    PluginReport.StageReport(name: "rot13", summary: "", roles: [.filter], parallel: false, network: false),
  ]
}

/// One played worker.
final class FakeWorker: Worker {
  let pid: Int32
  private let heard: @Sendable (WorkerEvent) -> Void
  private let over: @Sendable () -> Void
  private let commands = Mutex<[WorkerCommand]>([])
  private let arrived = ChangeSignal()
  private let hasEnded = Mutex(false)
  private let ignoresCommands = Mutex(false)

  init(pid: Int32, heard: @escaping @Sendable (WorkerEvent) -> Void, over: @escaping @Sendable () -> Void) {
    self.pid = pid
    self.heard = heard
    self.over = over
  }

  func send(_ command: WorkerCommand) {
    commands.withLock { $0.append(command) }
    arrived.raise()
  }

  func kill() { end("signal 9") }

  func say(_ report: WorkerReport) {
    hasEnded.withLock { if !$0 { heard(.said(report)) } }
  }

  /// The first end counts.
  func end(_ status: String) {
    let first = hasEnded.withLock { ended in
      defer { ended = true }
      return !ended
    }
    guard first else { return }
    over()
    heard(.ended(status))
    arrived.raise()
  }

  var isOver: Bool { hasEnded.withLock { $0 } }

  /// The next command; nil once the worker is over.
  func next() async -> WorkerCommand? {
    while true {
      let seen = arrived.generation
      if isOver { return nil }
      let command = commands.withLock { $0.isEmpty ? nil : $0.removeFirst() }
      if let command { return command }
      await arrived.wait(past: seen)
    }
  }

  /// Plans and waits for the answer; false where it was not `admitted`, after the last word to it.
  func admitted(_ plan: JobPlan = JobPlan()) async -> Bool {
    say(.planned(plan))
    switch await next() {
    case .admitted: return true
    case .denied(let fault): say(.failed(fault))
    case .cancel, .pause: say(.stopped)
    default: break
    }
    return false
  }

  /// Plans, and finishes with what a stage of the order's kind would say.
  func succeed(_ order: JobOrder, _ values: [String: JSONValue] = [:]) async {
    guard await admitted() else { return }
    say(.finished(Self.result(order, values)))
  }

  /// Where that is for good it has removed what it made.
  func fail(_ fault: Fault) async {
    guard await admitted() else { return }
    if fault.retry == .never { say(.discarded) }
    say(.failed(fault))
  }

  /// Runs until it is told to stop.
  func runUntilStopped() async {
    guard await admitted() else { return }
    _ = await next()
    say(.stopped)
  }

  /// What the stages would have said, with the file that a new image has.
  static func result(_ order: JobOrder, _ values: [String: JSONValue] = [:]) -> JobResult {
    guard let sink = order.pipeline.to.last else {
      var said = values
      let isLook = ["probe-target", "sync-target"].contains(order.pipeline.from.first?.stage)
      if isLook, said["available"] == nil { said["available"] = true }
      if order.pipeline.from.first?.stage == "sync-target", said["vanished"] == nil { said["vanished"] = false }
      return JobResult(values: said)
    }
    var result = JobResult(size: 1024, checksum: String(repeating: "ab", count: 64), bytesCopied: 1024)
    switch sink.stage {
    case "clone":
      let folder = sink.params["folder"]?.string ?? ""
      try? Folder.create(folder)
      try? Folder.writeDurably(folder + "/backing", [UInt8](repeating: 0, count: 1024))
      result.values = ["path": .string(folder + "/backing"), "virtualSize": 1024, "realSize": 512, "format": "raw"]
    case "backup" where sink.params["volume"] != nil:
      func text(_ key: String) -> String { sink.params[key]?.string ?? "" }
      result.values = [
        "url": .string("\(text("target"))?backup=\(text("name"))&volume=\(text("volume"))"), "state": "Completed",
        "volumeName": .string(text("volume")), "snapshotName": .string(text("snapshot")), "backupSize": 2_097_152,
        "labels": sink.params["labels"] ?? [:], "isIncremental": .bool(sink.params["base"] != nil),
        "blockSize": sink.params["blockSize"] ?? .null, "backupCreatedAt": "2026-01-01T00:00:01Z",
        "snapshotCreatedAt": .string("2026-01-01T00:00:0\(text("name").count)Z"), "compressionMethod": "lz4",
      ]
    case "backup":
      let url = (sink.params["target"]?.string ?? "") + "?backingImage=" + (sink.params["name"]?.string ?? "")
      result.values = ["url": .string(url), "labels": sink.params["labels"] ?? [:], "compressionMethod": "lz4"]
    default: break
    }
    result.values.merge(values) { _, new in new }
    return result
  }
}
