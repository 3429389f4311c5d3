import CCurl

/// What libcurl's callbacks fill while a transfer is driven: the response's head, and bytes of its body that go straight
/// into the caller's buffer. What does not fit waits in `rest`; libcurl is told to pause until that was fetched.
@safe
final class Inbox {
  static let longestHead = 256 << 10

  private(set) var headers: [(name: String, value: String)] = []
  private(set) var headIsComplete = false
  private(set) var headIsTooLong = false
  /// Set by every callback, cleared by whoever watches for a stall.
  var sawActivity = false
  /// libcurl waits to be told to go on.
  var isPaused = false

  private let followsRedirects: Bool
  private var status = 0
  private var headLength = 0
  private var rest: [UInt8] = []
  private var restStart = 0
  private var destination: UnsafeMutableRawBufferPointer?
  private(set) var filled = 0

  init(followsRedirects: Bool) {
    self.followsRedirects = followsRedirects
    unsafe destination = nil
    rest.reserveCapacity(Int(CURL_MAX_WRITE_SIZE))
  }

  private var hasRest: Bool { restStart < rest.count }

  /// There is a buffer, and it is not full.
  var hasRoom: Bool { unsafe destination.map { filled < $0.count } ?? false }

  /// Lends the buffer until `detach`, and puts into it what had been left over.
  func attach(_ buffer: UnsafeMutableRawBufferPointer) {
    unsafe destination = buffer
    filled = min(buffer.count, rest.count - restStart)
    guard filled > 0 else { return }
    unsafe rest.withUnsafeBytes { source in
      unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[restStart..<restStart + filled]))
    }
    restStart += filled
    if restStart == rest.count {
      rest.removeAll(keepingCapacity: true)
      restStart = 0
    }
  }

  func detach() { unsafe destination = nil }

  func header(_ line: UnsafeRawBufferPointer) -> Int {
    sawActivity = true
    headLength += line.count
    guard headLength <= Self.longestHead else {
      headIsTooLong = true
      return 0
    }
    let text = unsafe String(decoding: line, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      // A new response: what came before was an interim one or a redirect.
      headers = []
      headIsComplete = false
      status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    } else if text.utf8.allSatisfy({ $0 == 13 || $0 == 10 }) {
      let isRedirect = followsRedirects && (300..<400).contains(status) && headers.contains { $0.name == "location" }
      headIsComplete = status >= 200 && !isRedirect
      if isRedirect { headLength = 0 }
    } else if let colon = text.utf8.firstIndex(of: 58) {
      headers.append((text[..<colon].lowercased(), trimmed(text[text.index(after: colon)...])))
    }
    return line.count
  }

  func body(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard let destination = unsafe destination, !hasRest, filled < destination.count else {
      isPaused = true
      return ccurl_write_pause
    }
    sawActivity = true
    let taken = min(bytes.count, destination.count - filled)
    unsafe UnsafeMutableRawBufferPointer(rebasing: destination[filled...])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<taken]))
    filled += taken
    unsafe rest.append(contentsOf: bytes[taken...])
    return bytes.count
  }
}

func trimmed(_ text: Substring) -> String {
  let isSpace: (UInt8) -> Bool = { $0 == 32 || $0 == 9 || $0 == 13 || $0 == 10 }
  let view = text.utf8
  guard let first = view.firstIndex(where: { !isSpace($0) }), let last = view.lastIndex(where: { !isSpace($0) }) else {
    return ""
  }
  return String(text[first...last])
}
