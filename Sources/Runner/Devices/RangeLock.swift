import LinuxSystem

/// Keeps writers apart where one reads a block, changes part of it and writes it back: what another one writes into the
/// same block meanwhile would be lost.
///
/// Writers of whole blocks do not disturb each other, and share. Each holds one range at a time, so none waits for ever.
final class RangeLock: Sendable {
  private struct Holder {
    var range: Range<UInt64>
    var isAlone: Bool
  }
  private struct State {
    var holders: [Holder] = []
    var waiting = 0
  }
  private let state = Monitor(State())

  /// - Parameters:
  ///   - range: Of whole blocks.
  ///   - alone: Nobody else writes there while `body` runs.
  func holding<R>(_ range: Range<UInt64>, alone: Bool, _ body: () throws -> R) rethrows -> R {
    take(Holder(range: range, isAlone: alone))
    defer { release(range, alone) }
    return try body()
  }

  private func take(_ holder: Holder) {
    var isWaiting = false
    _ = state.wait { state -> Bool? in
      let isHeld = state.holders.contains { $0.range.overlaps(holder.range) && ($0.isAlone || holder.isAlone) }
      if isHeld != isWaiting { state.waiting += isHeld ? 1 : -1 }
      isWaiting = isHeld
      guard !isHeld else { return nil }
      state.holders.append(holder)
      return true
    }
  }

  private func release(_ range: Range<UInt64>, _ alone: Bool) {
    let mustWake = state.withLock { state in
      let index = state.holders.firstIndex { $0.range == range && $0.isAlone == alone }
      if let index {
        state.holders.swapAt(index, state.holders.count - 1)
        state.holders.removeLast()
      }
      return state.waiting > 0
    }
    if mustWake { state.change { _ in } }
  }
}
