import ArgumentParser
import ControlAPI
import DroverModel
import Glibc

/// How this program says that it failed, on standard error: for people, or as JSON where JSON was asked for.
struct ErrorReport {
  private let asJSON: Bool
  private let asLine: Bool

  /// Looks at the arguments themselves, because they may be what is wrong.
  init(arguments: [String]) {
    let words = arguments.prefix { $0 != "--" }
    let pairs = zip(words, words.dropFirst())
    asJSON =
      words.contains { ["-ojson", "-o=json", "--output=json"].contains($0) }
      || pairs.contains { ["-o", "--output"].contains($0) && $1 == "json" }
    asLine = words.contains("--json-progress")
  }

  func end(_ fault: Fault) -> Never {
    show(fault)
    end(code: fault.code.exitCode)
  }

  func show(_ fault: Fault) {
    if asLine {
      JSONProgress.write(ProgressLine.error(ErrorResponse(fault).error))
    } else if asJSON {
      writeError((try? APIJSON.encode(ErrorResponse(fault))) ?? fault.message)
    } else {
      writeError(Self.text(fault))
    }
  }

  /// Help and versions are results; everything else that parsing throws is a usage error.
  func end(parsing error: any Error) -> Never {
    let message = Drover.fullMessage(for: error)
    guard Drover.exitCode(for: error) != .success else {
      print(message)
      end(code: 0)
    }
    if asJSON || asLine {
      show(Fault(.invalid, Drover.message(for: error), hint: "drover --help"))
    } else {
      writeError(message)
    }
    end(code: 2)
  }

  private func end(code: Int32) -> Never {
    fflush(nil)
    Glibc.exit(code)
  }

  static func text(_ fault: Fault) -> String {
    "error: \(fault.message)" + (fault.hint.map { "\nhint: \($0)" } ?? "")
  }
}

/// One line, or several, on standard error.
func writeError(_ text: String) {
  fflush(nil)
  writeRaw(text + "\n", to: STDERR_FILENO)
}

/// What can't be written is lost: there is nobody to tell.
func writeRaw(_ text: String, to descriptor: Int32) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if count < 0, errno != EINTR { return }
    rest = rest.dropFirst(max(0, count))
  }
}
