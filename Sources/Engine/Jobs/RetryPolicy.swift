import DroverModel

/// How long a job pauses after a failure. Pure: the random number comes from outside.
struct RetryPolicy: Sendable, Hashable {
  /// Transient failures after which the job has failed.
  var attempts: Int
  var backoffMaxSeconds: Double
  /// Pause of a job that waits for somebody's change, before it looks by itself.
  var probeSeconds: Double

  /// Doubles from one second, up to the maximum, and takes between half and all of that, so that jobs which failed
  /// together don't come back together.
  /// - Parameter random: In 0..<1.
  func backoff(failures: Int, random: Double) -> Double {
    let doubled = failures > 30 ? backoffMaxSeconds : Double(1 << max(0, failures - 1))
    return min(backoffMaxSeconds, doubled) * (0.5 + random / 2)
  }

  /// A lock is asked for again soon and for ever.
  func lockPause(random: Double) -> Double { min(backoffMaxSeconds, 5) * (0.5 + random / 2) }
}
