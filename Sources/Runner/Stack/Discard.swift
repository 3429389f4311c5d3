import CDroverPlugin
import DroverModel

/// Removes what the attempts of a job left behind, of all stages of the writing side, or of a task. Goes on after a
/// failure.
enum Discard {
  /// Nothing of the pipeline may be open.
  /// - Throws: A Fault like the first failure, with the messages of all.
  static func run(_ stages: [OrderedStage], order: OrderContext, job: JobContext) throws {
    job.interruption.isCleaning = true
    defer { job.interruption.isCleaning = false }
    var failures: [Fault] = []
    for stage in stages {
      guard let function = stage.loaded.functions.discard else { continue }
      do {
        let arguments = try OpenArguments(
          stage.spec, writable: stage.spec.role != .task, order: order, secrets: stage.secrets)
        let host = HostTable.make(stage: stage.loaded, job: job)
        defer { arguments.wipe() }
        try stage.loaded.status("discard", job.activity) { error in
          function(stage.loaded.descriptor, host, arguments.pointer, error)
        }
      } catch {
        failures.append(error as? Fault ?? Fault(.internalError, "\(error)"))
      }
    }
    guard var fault = failures.first else { return }
    fault.message = failures.map(\.message).joined(separator: "; ")
    throw fault
  }
}
