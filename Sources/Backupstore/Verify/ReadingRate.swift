import Synchronization

/// Keeps all threads together below so many bytes a second.
final class ReadingRate: Sendable {
  private let bytesPerSecond: Double
  private let clock: any StoreClock
  private let observer: any StoreObserver
  /// Boot time until which what was read so far lasts.
  private let paidUntil: Mutex<Double>

  init(_ bytesPerSecond: Double, _ session: StoreSession) {
    self.bytesPerSecond = bytesPerSecond
    clock = session.clock
    observer = session.observer
    paidUntil = Mutex(session.clock.bootSeconds())
  }

  /// To be called after that many bytes were read; pauses as long as they should have taken.
  func charge(_ bytes: Int) throws(StoreError) {
    let now = clock.bootSeconds()
    let end = paidUntil.withLock { end in
      end = max(end, now) + Double(bytes) / bytesPerSecond
      return end
    }
    if end > now { try clock.pause(seconds: end - now, observer: observer) }
  }
}
