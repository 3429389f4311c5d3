import LinuxSystem

/// What the pump's threads tell each other and the outside: which claims are under way, what is confirmed, and the first
/// thing that went wrong.
final class Flow: Sendable {
  private struct State {
    var position: UInt64
    var underWay: [(ticket: UInt64, offset: UInt64)] = []
    var done: UInt64
    var copied: UInt64 = 0
    var lastConfirmed = BootClock.seconds()
    var failure: (any Error)?
    var isOver = false
  }
  private let state: Monitor<State>

  init(start: UInt64) { state = Monitor(State(position: start, done: start)) }

  func claimed(_ claim: Claim) {
    state.withLock { state in
      state.underWay.append((claim.ticket, claim.offset))
      state.position = claim.offset + claim.length
    }
  }

  /// The sink has taken the claim; `copied` of its bytes had to be moved.
  func confirm(_ claim: Claim, copied: UInt64) {
    state.change { state in
      state.underWay.removeAll { $0.ticket == claim.ticket }
      state.done += claim.length
      state.copied += copied
      state.lastConfirmed = BootClock.seconds()
    }
  }

  /// Something gets on, though no byte was confirmed: the copy has not stalled.
  func sign() { state.withLock { $0.lastConfirmed = BootClock.seconds() } }

  /// Everything below `offset` got there without the pump's threads.
  func passed(to offset: UInt64) {
    state.change { state in
      state.position = offset
      state.done = offset
      state.lastConfirmed = BootClock.seconds()
    }
  }

  func fail(_ error: any Error) {
    state.change { $0.failure = $0.failure ?? error }
  }

  /// All threads have ended.
  func finish() { state.change { $0.isOver = true } }

  var failure: (any Error)? { state.withLock { $0.failure } }

  /// Everything below is in the sink, though not yet flushed.
  var lowWater: UInt64 { state.withLock { Self.lowWater($0) } }

  /// Blocks until the sink has bytes beyond `offset`; nil where none will come.
  func lowWater(beyond offset: UInt64) -> UInt64? {
    state.wait { state in
      let mark = Self.lowWater(state)
      if mark > offset { return .some(mark) }
      return state.isOver || state.failure != nil ? .some(nil) : nil
    }
  }

  private static func lowWater(_ state: State) -> UInt64 {
    state.underWay.map(\.offset).min() ?? state.position
  }

  var progress: (done: UInt64, copied: UInt64, lastConfirmed: Double) {
    state.withLock { ($0.done, $0.copied, $0.lastConfirmed) }
  }
}
