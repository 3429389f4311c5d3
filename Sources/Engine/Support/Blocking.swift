import Dispatch

/// Runs what may block for long (removing a tree, starting a process) on Dispatch's threads and waits for it without
/// blocking the caller's.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global(qos: .utility).async {
      continuation.resume(with: Result { try body() })
    }
  }
}
