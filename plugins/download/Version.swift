import Curl
import FoundationEssentials

/// What is known of the content behind an address, as far as it tells one content from another.
struct Version: Codable, Equatable {
  /// Bytes; nil where the server does not say.
  var size: UInt64?
  var etag: String?
  var lastModified: String?
  /// The content can't have changed within the second that `lastModified` names. Source: RFC 9110, section 8.8.2.2.
  var lastModifiedIsStrong = false

  /// The value for `If-Range`, which a server takes as proof that both mean the same bytes; nil: none that will do.
  var condition: String? {
    if let etag, !etag.hasPrefix("W/") { return etag }
    return lastModifiedIsStrong ? lastModified : nil
  }

  /// For `DeviceInfo.identity`.
  var identity: String? {
    condition.map { "\($0) \(size.map { "\($0) bytes" } ?? "of unknown size")" }
  }

  /// Nothing that both know differs.
  func mayEqual(_ other: Version) -> Bool {
    func agree<T: Equatable>(_ one: T?, _ two: T?) -> Bool { one == nil || two == nil || one == two }
    return agree(size, other.size) && agree(etag, other.etag) && agree(lastModified, other.lastModified)
  }

  /// What proves this version also stands in `other`, and nothing differs.
  func isProvedBy(_ other: Version) -> Bool {
    condition != nil && condition == other.condition && mayEqual(other)
  }
}

extension Version {
  /// `size` is not taken from the head, since its meaning hangs on the status.
  init(_ head: ResponseHead, size: UInt64?) {
    self.size = size
    // A validator longer than this is no use: it would not fit where it has to be kept.
    etag = head["etag"].flatMap { $0.isEmpty || $0.utf8.count > 4096 ? nil : $0 }
    lastModified = head["last-modified"].flatMap { $0.isEmpty || $0.utf8.count > 100 ? nil : $0 }
    if let modified = lastModified.flatMap(secondsSince1970), let now = head["date"].flatMap(secondsSince1970) {
      lastModifiedIsStrong = modified < now
    }
  }
}

extension Version: CustomStringConvertible {
  var description: String {
    let marks = [etag.map { "ETag \($0)" }, lastModified.map { "of \($0)" }].compactMap { $0 }
    return ([size.map { "\($0) bytes" } ?? "of unknown size"] + marks).joined(separator: ", ")
  }
}

extension Version {
  private struct Record: Encodable {
    var sourceETag: String?
    var sourceLastModified: String?
  }

  /// What the job's result says of the source, as a JSON object; nil when nothing is known.
  func record() throws -> String? {
    guard etag != nil || lastModified != nil else { return nil }
    let record = Record(sourceETag: etag, sourceLastModified: lastModified)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(record), as: UTF8.self)
  }
}
