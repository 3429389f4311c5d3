import DroverModel
import FoundationEssentials
import LinuxSystem
import Synchronization

/// A job's log, `STATE/jobs/ID/log`: one JSON object a line, over all attempts. It ends with a line that says so when it
/// is as long as it may be.
///
/// Calls block and may come from any thread. A log that can't be written is given up silently: it never fails a job.
final class JobLog: Sendable {
  static let limitBytes: UInt64 = 4 << 20

  let path: String
  /// Raised with each line, and by `end()`.
  let grown = ChangeSignal()
  private let state: Mutex<State>

  private struct State {
    var file: OpenFile?
    var size: UInt64 = 0
    var line = 0
    var full = false
  }

  /// The folder must be there; the file may be.
  init(path: String) {
    self.path = path
    var state = State()
    state.file = try? OpenFile.open(path, .create(permissions: 0o640))
    if let file = state.file, let size = try? file.size() {
      let bytes = (try? Folder.readFile(path, limit: Int(Self.limitBytes) * 2)) ?? []
      // A line that a crash cut off is overwritten.
      let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
      state.size = bytes.isEmpty ? size : UInt64(whole)
      state.line = bytes[..<whole].count { $0 == UInt8(ascii: "\n") }
      state.full = state.size >= Self.limitBytes
    }
    self.state = Mutex(state)
  }

  func append(_ level: LogLevel, _ message: String, attempt: Int, time: Double) {
    state.withLock { state in
      guard !state.full, let file = state.file else { return }
      write(level, String(message.prefix(8000)), attempt, time, file, &state)
      guard state.size >= Self.limitBytes else { return }
      state.full = true
      write(.warning, "the log is full: nothing more is kept", attempt, time, file, &state)
    }
    grown.raise()
  }

  /// Wakes followers, which then see that the job is over.
  func end() { grown.raise() }

  private func write(
    _ level: LogLevel, _ message: String, _ attempt: Int, _ time: Double, _ file: OpenFile, _ state: inout State
  ) {
    let line = LogLine(
      line: state.line + 1, time: Timestamp.text(time), attempt: attempt, level: level, message: message)
    guard var bytes = try? JSONEncoder().encode(line) else { return }
    bytes.append(UInt8(ascii: "\n"))
    guard (try? bytes.withUnsafeBytes({ try file.write($0, at: state.size) })) != nil else { return }
    state.size += UInt64(bytes.count)
    state.line += 1
  }

  /// Whole lines from byte `offset` on, and where they end. An absent file has none.
  static func read(_ path: String, from offset: Int) throws -> (lines: [LogLine], end: Int) {
    guard let status = try FileStatus.of(path), status.size > UInt64(offset) else { return ([], offset) }
    let bytes = try Folder.readFile(path, limit: Int(limitBytes) * 2)
    guard offset < bytes.count, let last = bytes[offset...].lastIndex(of: UInt8(ascii: "\n")) else {
      return ([], offset)
    }
    let lines = bytes[offset...last].split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONDecoder().decode(LogLine.self, from: Data($0))
    }
    return (lines, last + 1)
  }
}
