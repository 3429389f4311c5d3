/// Takes in one answer of a `Session`: its head, and its body where that may go.
@safe
final class Intake {
  /// Of the body of an answer that is not 2xx: enough for any explanation.
  static let longestProblem = 64 << 10

  private(set) var status = 0
  private(set) var headers: [(name: String, value: String)] = []
  private(set) var length = 0
  private(set) var memory: [UInt8] = []
  /// Why the answer was not taken in.
  private(set) var refusal: CurlError?

  private let buffer: UnsafeMutableRawBufferPointer?
  private let limit: Int
  private let expectsBody: Bool
  private var headLength = 0

  init(_ destination: Session.Destination, expectsBody: Bool) {
    self.expectsBody = expectsBody
    switch destination {
    case .buffer(let buffer):
      unsafe self.buffer = buffer
      limit = buffer.count
    case .memory(let limit):
      unsafe buffer = nil
      self.limit = limit
    }
  }

  private var isGood: Bool { (200..<300).contains(status) }

  func header(_ line: UnsafeRawBufferPointer) -> Int {
    headLength += line.count
    guard headLength <= Inbox.longestHead else {
      refusal = CurlError(.headTooLong, "the head of the answer is longer than \(Inbox.longestHead) bytes")
      return 0
    }
    let text = unsafe String(decoding: line, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      headers = []
      status = text.split(separator: " ").dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) } ?? 0
    } else if let colon = text.utf8.firstIndex(of: 58) {
      headers.append((text[..<colon].lowercased(), trimmed(text[text.index(after: colon)...])))
    } else if expectsBody, isGood, let announced = headers.first(where: { $0.name == "content-length" }),
      let length = Int(announced.value), length > limit
    {
      return refuse(length)
    }
    return line.count
  }

  func body(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard isGood else {
      unsafe memory.append(contentsOf: bytes.prefix(Self.longestProblem - memory.count))
      return bytes.count
    }
    guard bytes.count <= limit - length else { return refuse(nil) }
    if let buffer = unsafe buffer {
      if bytes.count > 0 {
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[length...]).copyMemory(from: bytes)
      }
    } else {
      unsafe memory.append(contentsOf: bytes)
    }
    length += bytes.count
    return bytes.count
  }

  /// Ends the transfer.
  private func refuse(_ announced: Int?) -> Int {
    refusal = CurlError(
      .bodyTooLong, "the answer has \(announced.map { "\($0)" } ?? "more") bytes where \(limit) are taken",
      status: status)
    return 0
  }
}
