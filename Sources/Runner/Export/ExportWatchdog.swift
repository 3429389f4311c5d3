import DroverModel
import Glibc
import LinuxSystem

/// Looks for calls of stages that hang. Nothing is ended for that: whoever asks for `info` is told.
final class ExportWatchdog: Sendable {
  private let activity: Activity
  private let hangSeconds: Double
  private let troubles: ServedTroubles

  init(_ activity: Activity, hangSeconds: Double, _ troubles: ServedTroubles) {
    self.activity = activity
    self.hangSeconds = hangSeconds
    self.troubles = troubles
  }

  /// For as long as the process lives.
  func start() throws(SystemError) {
    try SystemThread.start("watchdog") { [self] in
      while true {
        usleep(500_000)
        guard let silent = activity.longestSilence(now: BootClock.seconds()), silent.seconds > hangSeconds else {
          troubles.hangs(nil)
          continue
        }
        troubles.hangs(
          Fault(
            .hung, "\(silent.call.description), has given no sign of life for \(Int(silent.seconds)) s",
            hint: "see to the disk below; the export goes on when it answers"))
      }
    }
  }
}
