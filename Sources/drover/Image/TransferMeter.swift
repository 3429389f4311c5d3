import ControlAPI
import Synchronization

/// Turns a count of bytes into what a progress display shows.
final class TransferMeter: @unchecked Sendable {
  // Invariant: `advance` is called by one thread at a time, the one that runs the transfer.
  private let subject: String
  private let phase: String
  private let total: Int64?
  private let display: any ProgressDisplay
  private let startedAt = monotonicSeconds()
  private var shownAt = 0.0

  init(_ subject: String, phase: String, total: Int64?, _ display: any ProgressDisplay) {
    self.subject = subject
    self.phase = phase
    self.total = total
    self.display = display
  }

  func advance(_ done: Int64) { advance(done, of: total) }

  func advance(_ done: Int64, of total: Int64?) {
    let now = monotonicSeconds()
    guard now - shownAt >= 0.1 else { return }
    shownAt = now
    let rate = Double(done) / max(0.001, now - startedAt)
    let rest = total.map { Double(max(0, $0 - done)) }
    display.update(
      ProgressState(
        subject: subject, phase: phase, percent: total.map { $0 > 0 ? Int(min(99, done * 100 / $0)) : 0 } ?? 0,
        bytesDone: done, bytesTotal: total, bytesPerSecond: Int64(rate),
        etaSeconds: rest.map { Int64(($0 / max(1, rate)).rounded(.up)) }))
  }
}
