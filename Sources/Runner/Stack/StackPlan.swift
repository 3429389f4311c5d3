import CDroverPlugin
import DroverModel

/// Asks all stages what they will need, without any effect.
struct StackPlan {
  private let order: OrderContext
  private let job: JobContext
  private var space: [JobPlan.Space] = []
  private var locks: [String] = []

  static func make(_ pipeline: ResolvedPipeline, order: OrderContext, job: JobContext) throws -> JobPlan {
    var plan = StackPlan(order: order, job: job)
    var reading: drover_plan?
    for stage in pipeline.from { reading = try plan.ask(stage, writable: false, below: reading) }
    // What a filter makes of the bytes is what the sink below it must have room for.
    var written = reading
    for stage in pipeline.to.reversed() { written = try plan.ask(stage, writable: true, below: written) }
    let known: (UInt64?) -> Int64? = { $0.flatMap { $0 <= UInt64(Int64.max) ? Int64($0) : nil } }
    return JobPlan(
      size: known(reading?.size), dataSize: known(reading?.data_size), space: plan.space, locks: plan.locks)
  }

  private init(order: OrderContext, job: JobContext) {
    self.order = order
    self.job = job
  }

  private mutating func ask(_ stage: OrderedStage, writable: Bool, below: drover_plan?) throws -> drover_plan {
    var answer = drover_plan()
    answer.struct_size = MemoryLayout<drover_plan>.size
    answer.size = .max
    answer.data_size = .max
    guard let function = stage.loaded.functions.plan else { return answer }
    let arguments = try OpenArguments(stage.spec, writable: writable, order: order, secrets: stage.secrets)
    let host = HostTable.make(stage: stage.loaded, job: job)
    defer { arguments.wipe() }
    try stage.loaded.status("plan", job.activity) { error in
      guard var below else {
        return function(stage.loaded.descriptor, host, arguments.pointer, nil, &answer, error)
      }
      below.struct_size = MemoryLayout<drover_plan>.size
      return function(stage.loaded.descriptor, host, arguments.pointer, &below, &answer, error)
    }
    answer.struct_size = MemoryLayout<drover_plan>.size
    let path = withUnsafeBytes(of: answer.space_path) { String(field: $0) }
    if answer.space > 0, !path.isEmpty { need(Int64(clamping: answer.space), in: path) }
    let lock = withUnsafeBytes(of: answer.lock) { String(field: $0) }
    if !lock.isEmpty { locks.append(lock) }
    return answer
  }

  private mutating func need(_ bytes: Int64, in path: String) {
    if let index = space.firstIndex(where: { $0.path == path }) {
      space[index].bytes = Int64(clamping: UInt64(space[index].bytes) + UInt64(bytes))
    } else {
      space.append(JobPlan.Space(path: path, bytes: bytes))
    }
  }
}
