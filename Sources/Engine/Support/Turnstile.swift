import Synchronization

/// Lets a number of tasks through at once; the others wait, and go in the order they came.
final class Turnstile: Sendable {
  private struct State {
    var free: Int
    var queue: [(ticket: Int, continuation: CheckedContinuation<Bool, Never>)] = []
    var nextTicket = 0
  }

  private let state: Mutex<State>

  init(places: Int) { state = Mutex(State(free: places)) }

  /// How many wait.
  var waiting: Int { state.withLock { $0.queue.count } }

  /// Runs `body` when it is this task's turn. Throws `CancellationError` where the task is cancelled before that.
  func withTurn<Value>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value
  ) async throws -> Value {
    try await enter()
    defer { leave() }
    return try await body()
  }

  private func enter(isolation: isolated (any Actor)? = #isolation) async throws {
    let ticket = state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket
    }
    let isIn = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if Task.isCancelled { return false }
          if state.free > 0 {
            state.free -= 1
            return true
          }
          state.queue.append((ticket, continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.queue.firstIndex { $0.ticket == ticket }.map { state.queue.remove(at: $0) }
      }
      waiter?.continuation.resume(returning: false)
    }
    if !isIn { throw CancellationError() }
  }

  /// The place goes to the one that waits longest.
  private func leave() {
    let next = state.withLock { state in
      if state.queue.isEmpty {
        state.free += 1
        return nil as CheckedContinuation<Bool, Never>?
      }
      return state.queue.removeFirst().continuation
    }
    next?.resume(returning: true)
  }
}
