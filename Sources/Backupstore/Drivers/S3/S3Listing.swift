/// One page of a listing: the answer to ListObjectsV2.
struct S3Listing: Equatable {
  /// Whole keys.
  var keys: [String] = []
  /// Of each key: ETag, size and time as the server wrote them, of which each may be missing.
  var versions: [String] = []
  /// Whole prefixes, with their trailing slash.
  var prefixes: [String] = []
  /// Where the next page begins; nil: this is the last one.
  var next: String?

  /// Bytes of the longest answer that is read: a thousand keys of a kilobyte, each byte escaped, and what stands around
  /// them.
  static let longest = 8 << 20

  /// Strict: an answer that is cut short, or is not a listing at all, must never pass for an empty one.
  init(_ bytes: [UInt8]) throws(XMLScanner.Malformed) {
    var scanner = XMLScanner(bytes)
    var path: [String] = []
    var text = ""
    var isTruncated: Bool?
    var token: String?
    var isEncoded = false
    var version: [String: String] = [:]
    while let event = try scanner.next() {
      switch event {
      case .open(let name):
        path.append(name)
        text = ""
        if path.count == 1, name != "ListBucketResult" {
          throw .init("its root element is \(name.prefix(40)), not ListBucketResult")
        }
      case .text(let more): text += more
      case .close:
        switch path.dropFirst().joined(separator: "/") {
        case "Contents/Key": keys.append(text)
        case "Contents/ETag", "Contents/Size", "Contents/LastModified": version[path.last ?? ""] = text
        case "Contents":
          versions.append(["ETag", "Size", "LastModified"].map { version[$0] ?? "" }.joined(separator: " "))
          version = [:]
        case "CommonPrefixes/Prefix": prefixes.append(text)
        case "NextContinuationToken": token = text
        case "EncodingType": isEncoded = text == "url"
        case "IsTruncated":
          guard text == "true" || text == "false" else { throw .init("IsTruncated is neither true nor false") }
          isTruncated = text == "true"
        default: break
        }
        path.removeLast()
        text = ""
      }
    }
    guard keys.count == versions.count else { throw .init("an object has no name, or several") }
    guard let isTruncated else { throw .init("it does not say whether more follows") }
    if isTruncated {
      guard let token, !token.isEmpty else { throw .init("more follows, but it does not say where") }
      next = token
    }
    guard isEncoded else { return }
    keys = try keys.map { (key) throws(XMLScanner.Malformed) in try Self.decoded(key) }
    prefixes = try prefixes.map { (prefix) throws(XMLScanner.Malformed) in try Self.decoded(prefix) }
  }

  private static func decoded(_ text: String) throws(XMLScanner.Malformed) -> String {
    guard let decoded = S3Escapes.decoded(text) else { throw .init("a key has a bad escape") }
    return decoded
  }
}
