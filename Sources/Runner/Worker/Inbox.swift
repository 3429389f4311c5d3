import ChildProtocol
import DroverModel
import LinuxSystem

/// What the daemon has said so far. Filled by the thread that reads the channel, read by the one that works.
final class Inbox: Sendable {
  private struct State {
    var secrets: [SecretBytes] = []
    var order: WorkerCommand?
    var isAdmitted = false
    var denial: Fault?
  }
  private let state = Monitor(State())

  func take(secret: SecretBytes) { state.change { $0.secrets.append(secret) } }

  /// Anything but `cancel` and `pause`.
  func take(_ command: WorkerCommand) {
    state.change { state in
      switch command {
      case .admitted: state.isAdmitted = true
      case .denied(let fault): state.denial = fault
      default: state.order = state.order ?? command
      }
    }
  }

  /// Blocks until the first command, `order` or `inspect`. The secrets that came before it go along.
  func waitForOrder() -> (command: WorkerCommand, secrets: [SecretBytes]) {
    state.wait { state in
      guard let command = state.order else { return nil }
      defer { state.secrets = [] }
      return (command, state.secrets)
    }
  }

  /// Blocks until the job is admitted.
  /// - Throws: The Fault of a denial, or `Interrupted`.
  func waitForAdmission(_ interruption: Interruption) throws {
    _ = try state.wait { state in
      try interruption.check()
      if let denial = state.denial { throw denial }
      return state.isAdmitted ? true : nil
    }
  }

  /// Whoever waits looks again.
  func wake() { state.change { _ in } }
}
