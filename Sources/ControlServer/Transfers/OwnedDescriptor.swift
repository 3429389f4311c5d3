import Glibc
import Synchronization

/// A descriptor until somebody takes it over; closed where nobody does.
final class OwnedDescriptor: Sendable {
  private let descriptor: Mutex<Int32?>

  init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }

  deinit {
    descriptor.withLock { if let open = $0 { close(open) } }
  }

  /// Hands it to `body`, which owns it from then on unless it throws. Nil on a second call.
  func handOver<Result: Sendable>(_ body: (Int32) async throws -> Result) async throws -> Result? {
    guard let open = descriptor.withLock({ $0.take() }) else { return nil }
    do {
      return try await body(open)
    } catch {
      close(open)
      throw error
    }
  }
}
