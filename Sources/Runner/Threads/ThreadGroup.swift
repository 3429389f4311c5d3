import LinuxSystem

/// Plain threads that are waited for together. The bodies handle their own errors.
final class ThreadGroup: Sendable {
  private let running = Monitor(0)

  func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws {
    running.change { $0 += 1 }
    do {
      try SystemThread.start(name) { [running] in
        body()
        running.change { $0 -= 1 }
      }
    } catch {
      running.change { $0 -= 1 }
      throw error
    }
  }

  /// Blocks until all of them have ended.
  func join() {
    _ = running.wait { $0 == 0 ? true : nil }
  }
}
