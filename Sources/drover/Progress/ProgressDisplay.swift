import ControlAPI
import DroverModel
import Glibc

typealias ProgressState = ProgressLine.Progress

/// Shows on standard error how far the work is.
protocol ProgressDisplay: AnyObject {
  func update(_ progress: ProgressState)
  /// Something worth a line of its own.
  func note(_ subject: String, _ message: String)
  func summary(succeeded: Int, failed: Int, seconds: Double)
  /// Nothing must be left on a line that other text will use.
  func clear()
}

extension ProgressDisplay {
  func summary(succeeded: Int, failed: Int, seconds: Double) {}
  func clear() {}
}

/// `-q`.
final class NoProgress: ProgressDisplay {
  func update(_ progress: ProgressState) {}
  func note(_ subject: String, _ message: String) {}
}

/// `--json-progress`: at most four lines a second.
final class JSONProgress: ProgressDisplay {
  private var last: (progress: ProgressState, at: Double)?

  func update(_ progress: ProgressState) {
    let now = monotonicSeconds()
    if let last, last.progress == progress || now - last.at < 0.25 { return }
    last = (progress, now)
    Self.write(.progress(progress))
  }

  func note(_ subject: String, _ message: String) { Self.write(.event(subject: subject, message: message)) }

  func summary(succeeded: Int, failed: Int, seconds: Double) {
    Self.write(.summary(succeeded: succeeded, failed: failed, seconds: seconds))
  }

  static func write(_ line: ProgressLine) { (try? APIJSON.encode(line)).map(writeError) }
}

/// Where standard error is no terminal: a line each ten seconds.
final class ProgressLines: ProgressDisplay {
  static let interval = 10.0
  private var nextAt = monotonicSeconds() + interval

  func update(_ progress: ProgressState) {
    let now = monotonicSeconds()
    guard now >= nextAt else { return }
    nextAt = now + Self.interval
    writeError(progressText(progress))
  }

  func note(_ subject: String, _ message: String) { writeError("\(subject): \(message)") }
}

/// A bar that is drawn over, on a terminal.
final class ProgressBar: ProgressDisplay {
  private var isDrawn = false

  func update(_ progress: ProgressState) {
    let terminal = Terminal.standardError
    let line = progressBar(progress, width: terminal.width - 1, color: terminal.hasColor)
    writeRaw("\r\u{1B}[K\(line)", to: STDERR_FILENO)
    isDrawn = true
  }

  func note(_ subject: String, _ message: String) {
    clear()
    writeError("\(subject): \(message)")
  }

  func clear() {
    guard isDrawn else { return }
    writeRaw("\r\u{1B}[K", to: STDERR_FILENO)
    isDrawn = false
  }
}

func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_BOOTTIME, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
