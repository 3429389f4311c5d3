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
    let host = HostTable.make(stage: loaded.name, job: job)
    defer { arguments.wipe() }
    try job.interruption.check()
    try job.activity.during(loaded.name, "run") {
      _ = try callPlugin(stage: loaded.name, call: "run") { error in
        Int64(loaded.functions.run!(loaded.descriptor, host, arguments.pointer, error))
      }
    }
    try job.checkRecords()
    return JobResult(values: job.mergedResults)
  }
}
