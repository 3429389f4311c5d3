import ChildProtocol
import DroverModel

/// Whether a job without a daemon is tried again after a failure, and from where on.
struct LocalRetries {
  /// Where the next attempt goes on; nil: at the beginning.
  private(set) var checkpoint: Checkpoint?
  /// Since the work got any further.
  private var failures = 0
  private var hasBegun = false

  private static let most = 6
  private static let longestPause = 30.0

  mutating func passed(_ checkpoint: Checkpoint) {
    if checkpoint.offset > self.checkpoint?.offset ?? 0 { failures = 0 }
    self.checkpoint = checkpoint
  }

  /// Seconds; nil: it is over. Doubles from one, and takes between half and all of that.
  mutating func pause(after fault: Fault, random: Double = .random(in: 0..<1)) -> Double? {
    // A server that was there a moment ago may come back; one that never answered is a mistake, and told at once. No space
    // is made by waiting.
    let mayPass = fault.retry == .transient || (hasBegun && fault.code == .targetUnreachable)
    hasBegun = true
    guard mayPass, fault.code != .noSpace else { return nil }
    failures += 1
    guard failures < Self.most else { return nil }
    return min(Self.longestPause, Double(1 << (failures - 1))) * (0.5 + random / 2)
  }
}
