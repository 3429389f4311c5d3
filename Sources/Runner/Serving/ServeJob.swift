import DroverModel
import LinuxSystem
import NBD

/// Serves the reading side of a pipeline to NBD clients until somebody asks to stop.
struct ServeJob {
  let pipeline: ResolvedPipeline
  let context: OrderContext
  let job: JobContext

  /// Descriptor of the listening socket, which whoever started the worker has made and will remove.
  static let listener: Int32 = 3

  /// Throws `Interrupted`, or a Fault.
  func run() throws -> Never {
    let listener = ListeningSocket(adopting: Self.listener)
    job.phase.enter("opening")
    let stack = try DeviceStack.open(pipeline.from, writable: false, order: context, job: job)
    defer { stack.close() }
    try job.interruption.check()
    let troubles = ServedTroubles { [job] fault, more in job.log(.error, fault.message + more) }
    let device = try ServedDevice(stack.top, troubles)
    let server = NBDServer(
      listener, NBDExport(device, description: "\(pipeline.from.map(\.loaded.name).joined(separator: ", "))")
    ) { [job] in job.log(.warning, $0) }
    job.phase.enter("serving")
    job.record(stage: "nbd", kind: "serving", value: ["size": .int(Int64(clamping: device.size))])
    let failure = Monitor<(any Error)?>(nil)
    let group = ThreadGroup()
    try group.start("nbd server") {
      do throws(SystemError) { try server.run() } catch { failure.change { $0 = Fault(system: error) } }
    }
    while failure.withLock({ $0 == nil }), job.interruption.wait(atMost: 1) == nil {}
    server.stop()
    group.join()
    if let failure = failure.withLock({ $0 }) { throw failure }
    throw Interrupted()
  }
}
