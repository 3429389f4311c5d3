import DroverModel

/// What is waited for: `--for ready|completed|attached|detached|deleted|state=X`.
enum Goal {
  /// The final state of the object's kind.
  case done
  case deleted
  case state(String)

  init(_ text: String, _ kind: ResourceKind) throws(Fault) {
    switch text {
    case "deleted": self = .deleted
    case "ready" where kind == .backingImage || kind == .backupTarget: self = .done
    case "available" where kind == .backupTarget: self = .done
    case "completed" where kind == .backupBackingImage || kind == .backup: self = .done
    case "succeeded" where kind == .job: self = .done
    case "ready" where kind == .snapshot: self = .done
    case "attached" where kind == .volume, "detached" where kind == .volume: self = .state(text)
    default:
      guard text.hasPrefix("state="), text.count > 6 else {
        throw Fault(
          .invalid, "--for \(text) does not fit a \(kind.manifestName)",
          hint: "\(Self.word(kind)), deleted or state=X")
      }
      guard kind != .backupTarget, kind != .secret, kind != .snapshot else {
        throw Fault(
          .invalid, "--for \(text): a \(kind.manifestName) has no state", hint: "\(Self.word(kind)) or deleted")
      }
      self = .state(String(text.dropFirst(6)))
    }
  }

  /// What a kind's final state is called.
  static func word(_ kind: ResourceKind) -> String {
    switch kind {
    case .backingImage, .snapshot: "ready"
    case .volume: "detached"
    case .backupBackingImage, .backup: "completed"
    case .backupTarget: "available"
    case .secret: "kept"
    case .job: "succeeded"
    }
  }
}

/// Where an object stands on the way to its final state.
enum Standing {
  case onTheWay(String)
  case reached
  /// It does not get there by itself; `fault` where the object itself says why.
  case failed(String, Fault?)

  init(_ resource: Resource, _ kind: ResourceKind) {
    switch kind {
    case .backingImage:
      let status = BackingImage.Status(resource.status)
      switch status.state {
      case .ready: self = .reached
      case .failed: self = .failed(status.message, nil)
      default: self = .onTheWay(status.message.isEmpty ? status.state.rawValue : status.message)
      }
    case .backupBackingImage:
      let status = BackupBackingImage.Status(resource.status)
      switch status.state {
      case .completed: self = .reached
      case .error: self = .failed(status.error, nil)
      default: self = .onTheWay(status.error.isEmpty ? status.state.rawValue : status.error)
      }
    case .backupTarget:
      let status = BackupTarget.Status(resource.status)
      // Applying a target clears its conditions until somebody has looked again.
      guard let condition = status.conditions.first else {
        self = .onTheWay("not looked at yet")
        return
      }
      guard condition.status || !status.available else {
        self = .reached
        return
      }
      let code = condition.reason.isEmpty ? .targetUnreachable : Fault.Code(rawValue: condition.reason)
      let fault = Fault(code.exitCode == 1 ? .targetUnreachable : code, condition.message)
      self = .failed(condition.message, fault)
    case .backup:
      let status = Backup.Status(resource.status)
      switch status.state {
      case .completed: self = .reached
      case .error: self = .failed(status.error, nil)
      default: self = .onTheWay(status.error.isEmpty ? status.state.rawValue : status.error)
      }
    case .volume:
      let status = Volume.Status(resource.status)
      if status.robustness == .faulted {
        self = .failed(status.message, nil)
      } else if status.isThere, status.state == .detached || status.state == .attached {
        self = .reached
      } else {
        self = .onTheWay(status.message.isEmpty ? status.state.rawValue : status.message)
      }
    case .snapshot:
      let status = Snapshot.Status(resource.status)
      self =
        status.readyToUse
        ? .reached : status.error.isEmpty ? .onTheWay("not made yet") : .failed(status.error, nil)
    case .secret: self = .reached
    case .job:
      switch resource.status["state"]?.string {
      case "succeeded": self = .reached
      case "cancelled": self = .failed("cancelled", Fault(.cancelled, "\(resource.metadata.name) was cancelled"))
      case "failed": self = .failed("failed", JobProgress(resource).error)
      default: self = .onTheWay(JobProgress(resource).phase ?? JobProgress(resource).state)
      }
    }
  }
}
