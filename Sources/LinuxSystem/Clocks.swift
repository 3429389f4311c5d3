import Glibc

/// Seconds since the machine was started, suspended time included: the clock for leases, which a changed wall clock
/// can't move.
public enum BootClock {
  public static func seconds() -> Double {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_BOOTTIME, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }
}

public enum WallClock {
  /// Since 1970.
  public static func nanoseconds() -> Int64 {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }

  /// Since 1970.
  public static func seconds() -> Double { Double(nanoseconds()) / 1e9 }
}

/// For measuring how long something took.
public enum MonotonicClock {
  public static func nanoseconds() -> Int {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec
  }
}
