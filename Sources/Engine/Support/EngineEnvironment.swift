import ChildProtocol
import LinuxSystem

/// What the engine takes from the world: time, randomness, processes. A test brings its own.
struct EngineEnvironment: Sendable {
  /// Seconds since 1970.
  var now: @Sendable () -> Double
  /// Returns early, throwing, when the task is cancelled.
  var sleep: @Sendable (_ seconds: Double) async throws -> Void
  /// In 0..<1.
  var random: @Sendable () -> Double
  var launcher: any WorkerLauncher
  /// Opens the catalog at a path.
  var openCatalog: @Sendable (String) throws -> any CatalogStore
  /// Nil where no policies are asked.
  var policyHost: (any PolicyHost)?

  static func system(_ configuration: EngineConfiguration) throws -> EngineEnvironment {
    let spawner = try Spawner()
    return EngineEnvironment(
      now: { WallClock.seconds() },
      sleep: { try await Task.sleep(for: .seconds($0)) },
      random: { Double.random(in: 0..<1) },
      launcher: ProcessLauncher(
        path: configuration.workerPath, spawner: spawner, environment: configuration.environment),
      openCatalog: { try Catalog(path: $0) },
      policyHost: ProcessPolicyHost(
        path: configuration.policyPath, spawner: spawner, environment: configuration.environment))
  }

  /// So many hexadecimal digits.
  func hexadecimal(_ digits: Int) -> String {
    let alphabet = Array("0123456789abcdef")
    return String((0..<digits).map { _ in alphabet[min(15, Int(random() * 16))] })
  }
}
