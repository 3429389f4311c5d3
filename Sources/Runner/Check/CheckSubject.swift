import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization

/// One stage in one place of a pipeline, and how to put a copy round it.
final class CheckSubject {
  /// Where in a pipeline the stage stands.
  enum Place: String {
    case source = "source"
    case readingFilter = "filter, reading"
    case writingFilter = "filter, writing"
    case sink = "sink"
    case task = "task"

    var role: Pipeline.Role {
      switch self {
      case .source: .source
      case .readingFilter, .writingFilter: .filter
      case .sink: .sink
      case .task: .task
      }
    }
    /// Of a filter: the key of the parameters that it takes only there.
    var direction: CheckOrder.Direction? {
      switch self {
      case .readingFilter: .reading
      case .writingFilter: .writing
      default: nil
      }
    }
    var reads: Bool { self == .source || self == .readingFilter }
    var writes: Bool { self == .sink || self == .writingFilter }
  }

  let stage: LoadedStage
  let place: Place
  let activity: Activity
  /// See `PluginChecker`.
  let ownsProcess: Bool
  private let order: CheckOrder
  private let secrets: [SecretBytes]
  private let nextScene: () throws -> Int
  private let hung: @Sendable (Fault) -> Void
  /// For a filter that reads: what another of its kind wrote.
  var written: [UInt8]?
  private var writtenBefore: [Int: [UInt8]] = [:]
  private var readBefore: [Int: [UInt8]] = [:]

  init(
    _ stage: LoadedStage, _ place: Place, order: CheckOrder, secrets: [SecretBytes], activity: Activity,
    ownsProcess: Bool, nextScene: @escaping () throws -> Int, hung: @escaping @Sendable (Fault) -> Void
  ) {
    self.stage = stage
    self.place = place
    self.order = order
    self.secrets = secrets
    self.activity = activity
    self.ownsProcess = ownsProcess
    self.nextScene = nextScene
    self.hung = hung
  }

  /// The same stage in another place.
  func `as`(_ place: Place, written: [UInt8]) -> CheckSubject {
    let other = CheckSubject(
      stage, place, order: order, secrets: secrets, activity: activity, ownsProcess: ownsProcess,
      nextScene: nextScene, hung: hung)
    other.written = written
    return other
  }

  var mayLeave: [String] { order.mayLeave }
  /// At most so many cases of a step.
  var cases: Int { max(2, order.cases) }

  var template: [String: JSONValue] {
    (order.params[""] ?? [:]).filter { stage.params?[$0.key] != nil || stage.params == nil }
      .merging(order.params[place.role.rawValue] ?? [:]) { _, own in own }
      .merging(place.direction.flatMap { order.params[$0.rawValue] } ?? [:]) { _, own in own }
  }

  /// In folders of its own, which are removed then.
  func inScene<R>(_ body: (CheckScene) throws -> R) throws -> R {
    let scene = try CheckScene(scratch: order.scratch, number: try nextScene(), template: template)
    defer { scene.end() }
    return try body(scene)
  }

  /// What is read by or through the stage, in blocks of which the last is odd.
  func neighbours(size: Int? = nil, block: UInt32 = 128 << 10) throws -> Neighbours {
    let size = size ?? (place == .sink ? (5 << 20) + 512 : (1 << 20) + 512)
    var content = ScratchContent(size: size)
    if place == .readingFilter, let written = written ?? writtenByOneself(size: size) {
      content = ScratchContent(written: written)
    }
    return Neighbours(
      source: try ScratchStage(content: content, blockPreferred: 0),
      sink: try ScratchStage(content: nil, blockPreferred: block))
  }

  /// What a plain read of the reading side gives. Read once.
  func expected(_ neighbours: Neighbours) throws -> [UInt8]? {
    guard place.reads else { return nil }
    let size = place == .source ? 0 : neighbours.source.content?.bytes.count ?? 0
    if let known = readBefore[size] { return known }
    let bytes = try inScene { scene in
      try opened(scene, neighbours) { try CheckDeviceSteps.content(of: $0.top) }
    }
    readBefore[size] = bytes
    return bytes
  }

  /// A filter may want below it only what one of its kind has written. Nil where it does not write.
  private func writtenByOneself(size: Int) -> [UInt8]? {
    guard stage.device.pwrite != nil else { return nil }
    if let known = writtenBefore[size] { return known }
    let writer = self.as(.writingFilter, written: [])
    let bytes: [UInt8]? = try? writer.inScene { scene in
      let neighbours = try writer.neighbours(size: size)
      defer { neighbours.release() }
      let outcome = try writer.attempt(scene, neighbours)
      return outcome.result == nil ? nil : neighbours.sink.disk
    }
    writtenBefore[size] = bytes
    return bytes
  }

  struct Neighbours {
    let source: ScratchStage
    let sink: ScratchStage
    /// Whichever of them the stage has to do with.
    func fail(_ failure: ScratchStage.Failure, beside place: Place) -> ScratchStage {
      let one = place == .source ? sink : source
      one.state.withLock { $0.failure = failure }
      return one
    }
    func release() {
      source.release()
      sink.release()
    }
  }

  func pipeline(_ params: [String: JSONValue]) -> Pipeline {
    let own = Pipeline.Stage(stage.name, place.role, params)
    let source = Pipeline.Stage(ScratchStage.sourceName, .source)
    let sink = Pipeline.Stage(ScratchStage.sinkName, .sink)
    return switch place {
    case .source: Pipeline(from: [own], to: [sink])
    case .readingFilter: Pipeline(from: [source, own], to: [sink])
    case .writingFilter: Pipeline(from: [source], to: [own, sink])
    case .sink: Pipeline(from: [source], to: [own])
    case .task: Pipeline(from: [own], to: [])
    }
  }

  var context: OrderContext {
    OrderContext(job: Self.job, jobFolder: "", attempt: 1, concurrency: 4, stallSeconds: Self.stallSeconds)
  }
  private static let job = "job-00000000c4ec0000"
  private static let stallSeconds = 10

  // MARK: Attempts

  struct Outcome {
    var report: WorkerReport?
    var plan: JobPlan?
    var checkpoints: [Checkpoint]
    /// The calls on stages, `call of stage`, in their order.
    var calls: [String]

    var fault: Fault? { if case .failed(let fault) = report { fault } else { nil } }
    var result: JobResult? { if case .finished(let result) = report { result } else { nil } }
    var isStopped: Bool { if case .stopped = report { true } else { false } }

    var description: String {
      switch report {
      case .finished: "it succeeded"
      case .failed(let fault): "it failed with \(fault.code.rawValue): \(fault.message)"
      case .stopped: "it stopped"
      default: "it ended without an answer"
      }
    }
  }

  private final class Collected: Sendable {
    let state = Mutex<(plan: JobPlan?, checkpoints: [Checkpoint], calls: [String])>((nil, [], []))
  }

  /// Carries out one attempt as a worker would.
  ///
  /// - Parameters:
  ///   - eager: Takes a checkpoint whenever it can.
  ///   - onCall: Told of each call before it begins, counted from 1; may ask to stop.
  func attempt(
    _ scene: CheckScene, _ neighbours: Neighbours, mode: JobOrder.Mode = .run, number: Int = 1,
    checkpoint: Checkpoint? = nil, params: [String: JSONValue]? = nil,
    eager: Bool = false, concurrency: Int = 4,
    onCheckpoint: @escaping @Sendable (Int) -> Void = { _ in },
    onCall: @escaping @Sendable (Int, Interruption) -> Void = { _, _ in }
  ) throws -> Outcome {
    let collected = Collected()
    let interruption = Interruption()
    let activity = activity.listening { stage, call in
      let count = collected.state.withLock {
        $0.calls.append("\(call) of \(stage)")
        return $0.calls.count
      }
      onCall(count, interruption)
    }
    let job = JobContext(interruption: interruption, activity: activity) { report in
      switch report {
      case .planned(let plan): collected.state.withLock { $0.plan = plan }
      case .checkpoint(let checkpoint):
        let count = collected.state.withLock {
          $0.checkpoints.append(checkpoint)
          return $0.checkpoints.count
        }
        onCheckpoint(count)
      default: break
      }
    }
    let pipeline = pipeline(try params ?? scene.params())
    var known = checkpoint
    // Where parameters are numbers of descriptors, the same pipeline has another digest each time.
    if known != nil { known?.pipelineDigest = try pipeline.digest() }
    let index = (pipeline.from + pipeline.to).firstIndex { $0.stage == stage.name } ?? 0
    let jobOrder = JobOrder(
      mode: mode, job: Self.job, attempt: number, pipeline: pipeline, jobFolder: scene.jobFolder, pluginFolders: [],
      concurrency: concurrency, stallSeconds: Self.stallSeconds, hangSeconds: order.hangSeconds, checkpoint: known,
      secretNames: order.secretNames.map { .init(stage: index, name: $0) })
    let hung = hung
    var attempt = Attempt(
      order: jobOrder, secrets: secrets,
      library: CheckLibrary(stages: [stage, neighbours.source.loaded, neighbours.sink.loaded]), job: job,
      pace: eager ? Self.eager : CheckpointKeeper.Pace(), admission: { try interruption.check() }, hung: hung)
    let report = attempt.run()
    return collected.state.withLock {
      Outcome(report: report, plan: $0.plan, checkpoints: $0.checkpoints, calls: $0.calls)
    }
  }

  private static let eager = CheckpointKeeper.Pace(seconds: 0, bytes: 1)

  // MARK: Devices

  /// Opens the stage by itself, with its neighbour, and closes everything afterwards.
  func opened<R>(
    _ scene: CheckScene, _ neighbours: Neighbours, params: [String: JSONValue]? = nil,
    _ body: (DeviceStack) throws -> R
  ) throws -> R {
    let job = JobContext(interruption: Interruption(), activity: activity) { _ in }
    var context = context
    context.jobFolder = scene.jobFolder
    try Folder.create(scene.jobFolder, permissions: 0o700)
    let own = OrderedStage(
      spec: .init(stage.name, place.role, try params ?? scene.params()), loaded: stage,
      secrets: zip(order.secretNames, secrets).map { (name: $0, bytes: $1) })
    func scratch(_ stage: ScratchStage, _ role: Pipeline.Role) -> OrderedStage {
      OrderedStage(spec: .init(stage.loaded.name, role), loaded: stage.loaded, secrets: [])
    }
    let source = scratch(neighbours.source, .source)
    let from =
      switch place {
      case .source: [own]
      case .readingFilter: [source, own]
      default: [source]
      }
    let fromStack = try DeviceStack.open(from, writable: false, order: context, job: job)
    defer { fromStack.close() }
    if place.reads { return try body(fromStack) }
    let to = place == .sink ? [own] : [scratch(neighbours.sink, .sink), own]
    let toStack = try DeviceStack.open(to, writable: true, order: context, job: job, source: fromStack.top)
    defer { toStack.close() }
    return try body(toStack)
  }

  /// Gives up what was not committed, as the job itself or as another one with the same parameters.
  func discard(_ scene: CheckScene, asJob id: String = CheckSubject.job) throws {
    let job = JobContext(interruption: Interruption(), activity: activity) { _ in }
    var context = context
    context.job = id
    context.jobFolder = scene.jobFolder
    let own = OrderedStage(
      spec: .init(stage.name, place.role, try scene.params()), loaded: stage,
      secrets: zip(order.secretNames, secrets).map { (name: $0, bytes: $1) })
    try Discard.run([own], order: context, job: job)
  }
}
