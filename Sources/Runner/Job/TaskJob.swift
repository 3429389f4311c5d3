import CDroverPlugin
import ChildProtocol
import DroverModel

/// One attempt at a task: a stage without a device, whose answer is what it emits.
struct TaskJob {
  let stage: OrderedStage
  let context: OrderContext
  let job: JobContext

  func run() throws -> JobResult {
    let loaded = stage.loaded
    job.phase.enter("running")
    let arguments = try OpenArguments(stage.spec, writable: false, order: context, secrets: stage.secrets)
    let host = HostTable.make(stage: loaded, job: job)
    defer { arguments.wipe() }
    try job.interruption.check()
    try loaded.status("run", job.activity) { error in
      loaded.functions.run!(loaded.descriptor, host, arguments.pointer, error)
    }
    try job.checkRecords()
    return JobResult(values: job.mergedResults(of: [loaded.name]))
  }
}
