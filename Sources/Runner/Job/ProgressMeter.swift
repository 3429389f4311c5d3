import DroverModel

/// Turns counted bytes into rate, remaining time and stalled time. Holds no clock.
struct ProgressMeter {
  /// After so many seconds a change of speed shows to two thirds.
  private static let smoothing = 5.0
  private var last: (time: Double, done: UInt64)?
  private var rate = 0.0

  /// - Parameters:
  ///   - now: Seconds of any clock that only goes forward.
  ///   - lastConfirmed: On the same clock.
  mutating func progress(
    phase: String, done: UInt64, total: UInt64?, lastConfirmed: Double, now: Double
  ) -> Job.Progress {
    if let last, now > last.time {
      let seconds = now - last.time
      let current = Double(done >= last.done ? done - last.done : 0) / seconds
      let weight = rate == 0 ? 1 : 1 - Self.decay(seconds / Self.smoothing)
      rate += (current - rate) * weight
      self.last = (now, done)
    } else if last == nil {
      last = (now, done)
    }
    let left = total.map { $0 > done ? Double($0 - done) : 0 }
    return Job.Progress(
      phase: phase, bytesDone: Int64(clamping: done), bytesTotal: total.map { Int64(clamping: $0) },
      bytesPerSecond: rate.rounded(), etaSeconds: rate > 1 ? left.map { ($0 / rate).rounded(.up) } : nil,
      stalledSeconds: max(0, (now - lastConfirmed).rounded(.down)))
  }

  /// e to the power of -x, near enough for a weight, and without libm.
  private static func decay(_ x: Double) -> Double { 1 / (1 + x + x * x / 2 + x * x * x / 6) }
}
