import LinuxSystem

/// Lets threads through one at a time in the order of their tickets, which begin at 0 and have no gaps.
final class Turnstile: Sendable {
  private struct State {
    var next: UInt64 = 0
    var isShut = false
  }
  private let state = Monitor(State())

  /// Waits for the ticket's turn, runs `body` without a lock but alone, and lets the next one in. Nil, without a call of
  /// `body`, once the turnstile is shut. It stays shut after an error of `body`.
  func pass<R>(_ ticket: UInt64, _ body: () throws -> R) throws -> R? {
    let isOpen: Bool = state.wait { $0.isShut ? false : ($0.next == ticket ? true : nil) }
    guard isOpen else { return nil }
    do {
      let answer = try body()
      state.change { $0.next = ticket + 1 }
      return answer
    } catch {
      shut()
      throw error
    }
  }

  /// Nobody gets through any more, and nobody waits.
  func shut() { state.change { $0.isShut = true } }
}
