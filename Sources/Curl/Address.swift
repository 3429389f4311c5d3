import CCurl

/// A URL, taken apart by the same parser that libcurl connects with.
public struct Address: Sendable {
  /// Lower case.
  public let scheme: String
  public let host: String
  /// `scheme://host[:port]/path`: without user and password, and without the query, which in a signed address is a secret
  /// too.
  public let forPeople: String

  /// Nil when it has no scheme or no host, or is no URL at all.
  public init?(_ text: String) {
    let parsed = ParsedAddress()
    guard parsed.parse(text), let scheme = parsed.part(CURLUPART_SCHEME),
      let host = parsed.part(CURLUPART_HOST), let path = parsed.part(CURLUPART_PATH)
    else { return nil }
    self.scheme = scheme
    self.host = host
    forPeople = "\(scheme)://\(host)\(parsed.part(CURLUPART_PORT).map { ":\($0)" } ?? "")\(path)"
  }
}

@safe
private struct ParsedAddress: ~Copyable {
  private let pointer: OpaquePointer

  init() {
    guard let pointer = unsafe curl_url() else { preconditionFailure("out of memory") }
    unsafe self.pointer = pointer
  }

  deinit { unsafe curl_url_cleanup(pointer) }

  func parse(_ text: String) -> Bool {
    unsafe curl_url_set(pointer, CURLUPART_URL, text, 0) == CURLUE_OK
  }

  func part(_ part: CURLUPart) -> String? {
    var value: UnsafeMutablePointer<CChar>?
    guard unsafe curl_url_get(pointer, part, &value, 0) == CURLUE_OK, let value = unsafe value else { return nil }
    defer { unsafe curl_free(value) }
    return unsafe String(cString: value)
  }
}
