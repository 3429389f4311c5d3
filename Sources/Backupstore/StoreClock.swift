import LinuxSystem

/// Time, as a parameter: a test brings its own.
public protocol StoreClock: Sendable {
  /// Seconds on a clock that also runs while the machine is suspended and that nobody can set.
  func bootSeconds() -> Double
  /// Whole seconds since 1970.
  func wallSeconds() -> Int64
  /// Blocks the thread.
  func pause(seconds: Double)
}

/// The machine's own clocks.
public struct SystemClock: StoreClock {
  private let never = Monitor(())

  public init() {}
  public func bootSeconds() -> Double { BootClock.seconds() }
  public func wallSeconds() -> Int64 { WallClock.nanoseconds() / 1_000_000_000 }
  public func pause(seconds: Double) { _ = never.wait(atMost: seconds) { _ -> Void? in nil } }
}

extension StoreClock {
  /// Pauses in pieces short enough to notice that the work was cancelled.
  func pause(seconds: Double, observer: any StoreObserver) throws(StoreError) {
    let end = bootSeconds() + seconds
    while true {
      try observer.checkCancelled()
      let left = end - bootSeconds()
      if left <= 0 { return }
      pause(seconds: min(left, 0.25))
    }
  }
}
