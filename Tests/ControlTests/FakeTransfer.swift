import ControlServer
import DroverModel
import LinuxSystem
import Synchronization

/// A pipe, with the test at the worker's end.
final class FakeTransfer: ContentTransfer {
  let descriptor: Int32
  /// The worker's end; the test closes it.
  let workerEnd: Int32
  let job = "job-0123456789abcdef"
  let size: Int64?
  private let aborted = Atomic(false)
  private let outcome = OneShot<Result<Resource, any Error>>()

  private init(_ descriptor: Int32, _ workerEnd: Int32, size: Int64?) {
    self.descriptor = descriptor
    self.workerEnd = workerEnd
    self.size = size
  }

  static func upload() throws -> FakeTransfer {
    let pipe = try Pipe.make()
    return FakeTransfer(pipe.write, pipe.read, size: nil)
  }

  static func save(size: Int64) throws -> FakeTransfer {
    let pipe = try Pipe.make()
    return FakeTransfer(pipe.read, pipe.write, size: size)
  }

  func finish(_ result: Result<Resource, any Error>) { outcome.set(result) }
  func succeed() { finish(.success(Resource(kind: "BackingImage", metadata: .init(name: "parrot")))) }
  func result() async throws -> Resource { try await outcome.value().get() }

  var isAborted: Bool { aborted.load(ordering: .sequentiallyConsistent) }

  func abort(_ reason: String) async {
    aborted.store(true, ordering: .sequentiallyConsistent)
    finish(.failure(Fault(.uploadInterrupted, reason)))
  }
}

/// A value that comes once, and those who wait for it. Waiting ends with `CancellationError` when its task is cancelled.
final class OneShot<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiting: [Int: CheckedContinuation<Value, any Error>] = [:]
    var next = 0
  }

  private let state = Mutex(State())

  /// Nil before it came.
  var current: Value? { state.withLock { $0.value } }

  func set(_ value: Value) {
    let waiting = state.withLock { state in
      guard state.value == nil else { return [CheckedContinuation<Value, any Error>]() }
      state.value = value
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.resume(returning: value) }
  }

  func value() async throws -> Value {
    let ticket = state.withLock {
      $0.next += 1
      return $0.next
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let ready = state.withLock { state -> Value? in
          if let value = state.value { return value }
          state.waiting[ticket] = continuation
          return nil
        }
        if let ready { continuation.resume(returning: ready) }
        if Task.isCancelled { cancel(ticket) }
      }
    } onCancel: {
      cancel(ticket)
    }
  }

  private func cancel(_ ticket: Int) {
    state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(throwing: CancellationError())
  }
}
