import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import NBD

/// An export that serves: what runs, and how it ends.
final class ExportSession: @unchecked Sendable {
  // Sendable: the stack, which is not, is only closed by `run`, after everything that uses it has ended; its other calls
  // may come from any thread.
  private let order: ExportOrder
  private let stack: DeviceStack
  private let device: ServedDevice
  private let sockets: ExportSockets
  private let troubles: ServedTroubles
  private let job: JobContext
  private let log: ExportLog
  private let server: NBDServer
  private let state: Monitor<State>

  /// Who wants it to end.
  enum Wish: Sendable {
    case signal(Int32)
    case detach(isForced: Bool)
  }

  private struct State {
    var lock: ExportLock?
    var wish: Wish?
    /// Of the last detach; nil while it is under way.
    var outcome: Result<Void, Fault>?
    /// Commands to the device that run.
    var commands = 0
    /// Answers to a detach that are still to be written.
    var waiting = 0
    var isEnding = false
  }

  /// Seconds that clients get to take their answers.
  private static let grace = 5.0

  init(
    order: ExportOrder, lock: ExportLock, stack: DeviceStack, device: ServedDevice, sockets: ExportSockets,
    troubles: ServedTroubles, job: JobContext, log: ExportLog
  ) {
    self.order = order
    self.stack = stack
    self.device = device
    self.sockets = sockets
    self.troubles = troubles
    self.job = job
    self.log = log
    state = Monitor(State(lock: lock))
    server = NBDServer(
      sockets.nbd, NBDExport(device, name: order.name, description: order.from.map(\.stage).joined(separator: ", "))
    ) { log.write(.warning, $0) }
  }

  var info: ExportInfo {
    ExportInfo(
      name: order.name, volume: order.volume, version: DroverVersion.current, pid: getpid(),
      readOnly: order.isReadOnly, size: Int64(clamping: device.size), clients: server.clients,
      phase: job.phase.current, failure: troubles.fatal, lastFailure: troubles.last)
  }

  func wish(_ wish: Wish) {
    state.change { state in
      if state.wish == nil { state.outcome = nil }
      state.wish = state.wish ?? wish
    }
  }

  /// Blocks until the export is closed, or the detach was refused; then `answered` must be called.
  func detach(isForced: Bool) throws(Fault) {
    state.change { state in
      state.waiting += 1
      if state.wish == nil {
        state.wish = .detach(isForced: isForced)
        state.outcome = nil
      }
    }
    let outcome = state.wait { $0.outcome }
    try outcome.get()
  }

  func answered() { state.change { $0.waiting -= 1 } }

  /// A command for the device, as JSON in and out.
  func control(_ verb: String, json: String) throws -> String {
    try state.change { state in
      guard !state.isEnding else { throw Fault(.conflict, "\(order.name) is just being detached") }
      state.commands += 1
    }
    defer { state.change { $0.commands -= 1 } }
    return try stack.control(verb, json: json)
  }

  /// Serves until somebody wants it to end. Returns the exit code.
  func run() -> Int32 {
    let group = ThreadGroup()
    do {
      try group.start("nbd server") { [self] in
        do throws(SystemError) { try server.run() } catch { troubles.fail(Fault(system: error)) }
      }
      try ControlServer(sockets.control, self, log).start()
    } catch {
      troubles.fail((error as? Fault) ?? Fault(.internalError, "\(error)"))
      wish(.detach(isForced: true))
    }
    while true {
      let wish = state.wait { $0.wish }
      let failure = end(wish, group)
      state.change { state in
        state.outcome = failure.map { .failure($0) } ?? .success(())
        if !state.isEnding { state.wish = nil }
      }
      if state.withLock({ $0.isEnding }) {
        _ = state.wait(atMost: Self.grace) { $0.waiting == 0 ? true : nil }
        return failure == nil ? 0 : 1
      }
    }
  }

  /// Where a flush fails and nobody insists, everything goes on.
  private func end(_ wish: Wish, _ group: ThreadGroup) -> Fault? {
    var isForced = true
    switch wish {
    case .signal(let number): log.write(.info, "signal \(number): detaching")
    case .detach(let force):
      isForced = force
      log.write(.info, "detaching")
    }
    if !isForced, let failure = flush() {
      log.write(.error, "not detached: \(failure.message)")
      return failure
    }
    // A merge, say: it is not cut off.
    state.change { $0.isEnding = true }
    job.phase.enter("detaching")
    server.stop(grace: Self.grace)
    group.join()
    _ = state.wait { $0.commands == 0 ? true : nil }
    let failure = flush()
    stack.close()
    sockets.remove()
    state.change { $0.lock = nil }
    log.write(.info, failure.map { "detached, but the last flush failed: \($0.message)" } ?? "detached")
    return failure
  }

  private func flush() -> Fault? {
    guard !order.isReadOnly else { return nil }
    do {
      try device.flush()
      return nil
    } catch {
      return troubles.fatal ?? troubles.last ?? Fault(.io, "the device can't be flushed")
    }
  }
}
