import Curl
import StageKit

/// An answer whose body is about to be read.
struct Content {
  let transfer: Transfer
  let version: Version
  /// Offset of the body's next byte in the content.
  var position: UInt64
}

extension Server {
  /// Asks for the content from `offset` on, if it still is `version`; with nil, for all of it.
  ///
  /// The answer begins at `offset` and is that version, or it begins at 0 and is whatever there is now: the server
  /// knows no ranges, or the content changed.
  func content(from offset: UInt64, of version: Version?, patience: Double) throws -> Content {
    if offset > 0, let version, let rest = try rest(from: offset, of: version, patience: patience) { return rest }
    let (transfer, head) = try answer(range: nil, condition: nil, patience: patience)
    return try whole(transfer, head)
  }

  /// Nil when the answer is of no use for going on.
  private func rest(from offset: UInt64, of version: Version, patience: Double) throws -> Content? {
    let (transfer, head) = try answer(range: "\(offset)-", condition: version.condition, patience: patience)
    guard head.status != 416 else { return nil }
    guard head.status == 206 else { return try whole(transfer, head) }
    try refuseEncoding(head)
    guard let range = head["content-range"].flatMap(ContentRange.init), range.start == offset,
      version.mayEqual(Version(head, size: range.size))
    else { return nil }
    var known = version
    known.size = range.size
    return Content(transfer: transfer, version: known, position: offset)
  }

  private func whole(_ transfer: Transfer, _ head: ResponseHead) throws -> Content {
    guard head.status == 200 else { throw StageError(status: head.status, during: address) }
    try refuseEncoding(head)
    return Content(transfer: transfer, version: Version(head, size: head.contentLength), position: 0)
  }

  /// The first answer that is not a plea to come again in a while. Such a plea is followed three times, up to a minute each.
  private func answer(range: String?, condition: String?, patience: Double) throws -> (Transfer, ResponseHead) {
    var waits = 0
    while true {
      let transfer = try ask(.get, range: range, condition: condition, patience: patience)
      let head = try head(of: transfer)
      guard waits < 3, let seconds = head.retryAfterSeconds, seconds <= 60 else { return (transfer, head) }
      waits += 1
      try wait(seconds: Double(seconds), "waiting as the server asked for")
    }
  }

  private func refuseEncoding(_ head: ResponseHead) throws {
    guard let encoding = head["content-encoding"], !encoding.isEmpty, encoding.lowercased() != "identity" else {
      return
    }
    throw StageError(
      "not-supported", "\(address) is sent encoded as \(encoding), though it was asked for as it is",
      hint: "an image must be served without Content-Encoding; a compressed image must be unpacked first")
  }
}

/// `bytes START-END/SIZE`. Source: RFC 9110, section 14.4.
struct ContentRange: Equatable {
  var start: UInt64
  var size: UInt64

  /// Nil also where the size is not told, since then nothing tells how far to go.
  init?(_ text: String) {
    let parts = text.split(separator: " ")
    guard parts.count == 2, parts[0].lowercased() == "bytes" else { return nil }
    let numbers = parts[1].split(omittingEmptySubsequences: false, whereSeparator: { $0 == "-" || $0 == "/" }).map {
      UInt64($0)
    }
    guard numbers.count == 3, let start = numbers[0], let end = numbers[1], let size = numbers[2], start <= end,
      end < size
    else { return nil }
    self.start = start
    self.size = size
  }
}

extension ResponseHead {
  /// Bytes of the body; nil where only its end will tell.
  var contentLength: UInt64? {
    self["transfer-encoding"] == nil ? self["content-length"].flatMap { UInt64($0) } : nil
  }

  /// How long a busy server asks to be left alone; nil when it does not.
  var retryAfterSeconds: Int64? {
    guard status == 503 || status == 429, let text = self["retry-after"] else { return nil }
    if let seconds = Int64(text) { return max(seconds, 0) }
    guard let then = secondsSince1970(httpDate: text), let now = self["date"].flatMap(secondsSince1970) else {
      return nil
    }
    return max(then - now, 0)
  }
}
