public import ChildProtocol
public import DroverModel

extension LocalWorker {
  /// Runs the fault matrix on a plugin, in as many workers as it takes: a step that kills its worker has failed, and the
  /// next worker goes on behind it. Blocks.
  ///
  /// - Parameter heard: Told of each step when it is through.
  public func check(
    _ order: CheckOrder, secrets: [SecretBytes] = [], heard: (PluginCheck.Step) -> Void = { _ in }
  ) throws -> PluginCheck {
    var order = order
    var check = PluginCheck(path: order.path)
    while true {
      var current: PluginCheck.Step?
      func take(_ step: PluginCheck.Step) {
        check.steps.append(step)
        heard(step)
        current = nil
      }
      let end = try run(.check(order), secrets: secrets) { report in
        switch report {
        case .checkBegan(let step): current = step
        case .checked(let step): take(step)
        case .checkEnded(let name, let version):
          check.name = name ?? check.name
          check.version = version ?? check.version
        default: break
        }
        return nil
      }
      if case .checkEnded = end.answer { return check }
      var fault = Fault(.workerDied, "the worker ended with \(end.status)")
      if case .failed(let told) = end.answer { fault = told }
      guard var step = current, check.steps.count < Self.mostSteps else { throw fault }
      step.outcome = .failed
      step.detail = fault.message
      take(step)
      // What can't even be loaded has no other steps.
      if step.stage.isEmpty { return check }
      order.skip = check.steps.count
    }
  }

  private static let mostSteps = 1000
}
