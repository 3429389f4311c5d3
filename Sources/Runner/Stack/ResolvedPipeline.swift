import ChildProtocol
import DroverModel

/// One stage of an order: what the pipeline says, the plugin's stage, and its secrets.
struct OrderedStage {
  var spec: Pipeline.Stage
  var loaded: LoadedStage
  var secrets: [(name: String, bytes: SecretBytes)]
}

/// A pipeline whose stages were found and accept their parameters. Both stacks lowest first.
struct ResolvedPipeline {
  var from: [OrderedStage]
  var to: [OrderedStage]
  var isTask: Bool { from.first?.spec.role == .task }

  /// - Parameter secrets: In the order of `order.secretNames`.
  init(_ order: JobOrder, secrets: [SecretBytes], library: inout any StageLibrary) throws {
    try self.init(
      order.pipeline, order.mode, secretNames: order.secretNames, secrets: secrets, library: &library)
  }

  init(
    _ pipeline: Pipeline, _ mode: JobOrder.Mode, secretNames: [JobOrder.SecretName], secrets: [SecretBytes],
    library: inout any StageLibrary
  ) throws {
    try Self.checkShape(pipeline, mode)
    guard secrets.count == secretNames.count else {
      throw Fault(.internalError, "\(secretNames.count) secrets were announced and \(secrets.count) sent")
    }
    var stages: [OrderedStage] = []
    for (index, spec) in (pipeline.from + pipeline.to).enumerated() {
      let loaded = try library.stage(named: spec.stage)
      guard loaded.has(spec.role) else {
        throw Fault(.unknownStage, "stage \(spec.stage) of plugin \(loaded.plugin) can't be a \(spec.role.rawValue)")
      }
      try loaded.check(params: spec.params)
      let own = zip(secretNames, secrets).filter { $0.0.stage == index }.map { (name: $0.0.name, bytes: $0.1) }
      stages.append(OrderedStage(spec: spec, loaded: loaded, secrets: own))
    }
    from = Array(stages[..<pipeline.from.count])
    to = stages[pipeline.from.count...].reversed()
  }

  private static func checkShape(_ pipeline: Pipeline, _ mode: JobOrder.Mode) throws {
    let from = pipeline.from.map(\.role)
    let to = pipeline.to.map(\.role)
    if from == [.task], to.isEmpty, mode != .serve { return }
    let reads = from.first == .source && from.dropFirst().allSatisfy { $0 == .filter }
    if mode == .serve {
      guard reads, to.isEmpty else { throw Fault(.invalid, "what is served is a source with filters") }
      return
    }
    guard reads, to.last == .sink,
      to.dropLast().allSatisfy({ $0 == .filter })
    else {
      throw Fault(
        .invalid,
        "a pipeline is a source with filters, and filters with a sink, or one task; this one is "
          + "\(from.map(\.rawValue)) to \(to.map(\.rawValue))")
    }
  }
}
