import ChildProtocol
import DroverModel

/// What the engine is to do after an event, in this order. All catalog changes of one event are one transaction, and
/// it is committed before anything else of the list is done.
enum JobAction: Sendable, Equatable {
  /// Write the row; with an event beside it.
  case persist(Notice?)
  case saveCheckpoint(Checkpoint)
  case dropCheckpoint
  case launch(JobOrder.Mode)
  case send(Message)
  /// Reserve what the plan needs, and say `admitted` or `denied` to the machine.
  case admit([JobPlan.Space])
  /// Give the reservation back.
  case release
  /// Kill the worker if it is still there after so many seconds.
  case kill(afterSeconds: Double)
  /// Look at the queue again.
  case reschedule

  struct Notice: Sendable, Equatable {
    var type: Event.Kind
    var message: String
  }

  /// The commands that a running worker is sent.
  enum Message: Sendable, Equatable {
    case admitted, cancel, pause
    case denied(Fault)

    var command: WorkerCommand {
      switch self {
      case .admitted: .admitted
      case .cancel: .cancel
      case .pause: .pause
      case .denied(let fault): .denied(fault)
      }
    }
  }
}

extension JobAction {
  static func persist(_ type: Event.Kind, _ message: String) -> JobAction {
    .persist(Notice(type: type, message: message))
  }
}
