import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem

/// A device that is served to NBD clients by a process of its own, until somebody detaches it.
final class Export: Sendable {
  private let start: ExportStart
  private let notes: CallNotes?
  private let signals: StopSignals

  init(_ channel: FrameChannel, notes: CallNotes?, signals: StopSignals) {
    start = ExportStart(channel)
    self.notes = notes
    self.signals = signals
  }

  /// Returns the exit code: 0 after a clean detach, or where whoever started it heard why it does not serve.
  func run() -> Int32 {
    do {
      guard let (order, secrets) = try start.order() else { return 0 }
      try start.watch { _exit(0) }
      return try serve(order, secrets)
    } catch {
      let fault =
        (error as? Fault) ?? (error as? SystemError).map { Fault(system: $0) } ?? Fault(.internalError, "\(error)")
      start.fail(fault)
      return 0
    }
  }

  private func serve(_ order: ExportOrder, _ secrets: [SecretBytes]) throws -> Int32 {
    let log = try ExportLog(order.log)
    log.takeStandardOutput()
    let job = JobContext(interruption: Interruption(), activity: Activity(notes: notes)) { report in
      if case .log(let level, let message) = report { log.write(level, message) }
    }
    do {
      let session = try open(order, secrets, log, job)
      try signals.start { number in session.wish(.signal(number)) }
      try start.serve(session.info)
      log.write(.info, "serving \(order.name) at \(order.socket), process \(getpid())")
      return session.run()
    } catch {
      log.write(.error, (error as? Fault)?.message ?? "\(error)")
      throw error
    }
  }

  private func open(
    _ order: ExportOrder, _ secrets: [SecretBytes], _ log: ExportLog, _ job: JobContext
  ) throws -> ExportSession {
    let lock = try ExportLock(order.lock, name: order.name)
    var library: any StageLibrary = PluginLibrary(folders: order.pluginFolders, activity: job.activity)
    let pipeline = try ResolvedPipeline(
      Pipeline(from: order.from, to: []), .serve, secretNames: order.secretNames, secrets: secrets,
      library: &library)
    let context = OrderContext(
      job: order.name, jobFolder: order.folder, attempt: 1, concurrency: order.concurrency,
      stallSeconds: order.stallSeconds)
    let troubles = ServedTroubles { fault, more in log.write(.error, fault.message + more) }
    let watchdog = ExportWatchdog(job.activity, hangSeconds: Double(max(1, order.hangSeconds)), troubles)
    try watchdog.start()
    job.phase.enter("opening")
    let stack = try DeviceStack.serving(pipeline.from, writable: !order.isReadOnly, order: context, job: job)
    do {
      let device = try ServedDevice(stack.top, writable: !order.isReadOnly, troubles)
      let sockets = try ExportSockets(order)
      job.phase.enter("serving")
      return ExportSession(
        order: order, lock: lock, stack: stack, device: device, sockets: sockets, troubles: troubles, job: job, log: log
      )
    } catch {
      stack.close()
      throw error
    }
  }
}
