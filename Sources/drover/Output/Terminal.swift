import Glibc

/// What is known of an output stream.
struct Terminal {
  let descriptor: Int32

  static let standardError = Terminal(descriptor: STDERR_FILENO)

  /// Whether lines can be drawn over.
  var isTerminal: Bool { isatty(descriptor) == 1 && variable("TERM") != "dumb" }

  /// Columns; 80 where nobody says.
  var width: Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// `NO_COLOR` with any value turns colour off: https://no-color.org
  var hasColor: Bool { isTerminal && variable("NO_COLOR") == nil }

  private func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }
}
