import Curl

/// What a server says about a request that it did not carry out.
struct S3Problem {
  /// `NoSuchKey` and the like; empty where the answer held no such document.
  var code = ""
  var message = ""
  var region: String?

  init(_ answer: Session.Answer) {
    region = answer["x-amz-bucket-region"]
    var scanner = XMLScanner(answer.body)
    var path: [String] = []
    var text = ""
    // An answer that is cut short or no XML tells less, and is no second failure.
    while let event = (try? scanner.next()) ?? nil {
      switch event {
      case .open(let name):
        path.append(name)
        text = ""
      case .text(let more): text += more
      case .close:
        switch path.suffix(2).joined(separator: "/") {
        case "Error/Code": code = Self.line(text)
        case "Error/Message": message = Self.line(text)
        case "Error/Region": region = Self.line(text)
        default: break
        }
        path.removeLast()
        text = ""
      }
    }
  }

  /// Foreign text, fit to stand in a message.
  private static func line(_ text: String) -> String {
    String(text.prefix(200).map { $0.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? " " : $0 })
  }
}
