import LinuxSystem

/// When a call to a store should have given up.
public struct Deadline: Sendable, Hashable {
  /// By `BootClock`; infinite for never.
  public var bootSeconds: Double

  public static let never = Deadline(bootSeconds: .infinity)

  public static func after(seconds: Double) -> Deadline { Deadline(bootSeconds: BootClock.seconds() + seconds) }

  public var isOver: Bool { bootSeconds <= BootClock.seconds() }

  /// For one object or one listing: long, because a stalled network is noticed by the driver.
  static var usual: Deadline { .after(seconds: 300) }
}
