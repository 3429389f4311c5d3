/// The URL of a target, cut at its borders and not yet decoded.
struct URLParts {
  let scheme: String
  /// Before the first `/`: user, host, port.
  let authority: Substring
  /// From the first `/` on; nil where there is none.
  let path: Substring?
  /// Behind the first `?`; nil where there is none.
  let query: Substring?
  let shown: String
  let field: String

  init(scheme: String, rest: Substring, whole: String, field: String) {
    self.scheme = scheme
    self.field = field
    shown = ResourceName.printable(whole)
    let end = rest.firstIndex { $0 == "?" || $0 == "#" } ?? rest.endIndex
    let slash = rest[..<end].firstIndex(of: "/")
    authority = rest[..<(slash ?? end)]
    path = slash.map { rest[$0..<end] }
    query = end == rest.endIndex ? nil : rest[rest.index(after: end)...]
  }

  func fault(_ problem: String, hint: String) -> Fault {
    Fault(.invalid, "\(field): \"\(shown)\" \(problem)", hint: hint)
  }

  /// Of a URL without a host.
  func folderPath() throws(Fault) -> [UInt8] {
    let example = "write file:///absolute/folder"
    guard authority.isEmpty, path != nil else { throw fault("names a host; a folder has none", hint: example) }
    guard query == nil else { throw fault("has characters that a folder's URL can't have", hint: example) }
    return try decodedPath(example: example)
  }

  /// Percent escapes resolved. `.`, `..` and control characters are refused, whatever they were written with.
  func decodedPath(example: String) throws(Fault) -> [UInt8] {
    guard let decoded = PercentEscapes.decoded((path ?? "").utf8) else {
      throw fault("has a bad percent escape", hint: "write a % in a folder's name as %25")
    }
    guard !decoded.contains(where: { $0 < 32 || $0 == 127 }) else {
      throw fault("has characters that a folder's URL can't have", hint: example)
    }
    let dot = UInt8(ascii: ".")
    guard !decoded.split(separator: UInt8(ascii: "/")).contains(where: { $0 == [dot] || $0 == [dot, dot] }) else {
      throw fault("is not an absolute folder without . and ..", hint: example)
    }
    return decoded
  }

  /// The same for a target that Longhorn's manager knows, which has a rule of its own.
  func decodedRemotePath(example: String) throws(Fault) -> [Substring] {
    guard path != nil else { throw fault("has no path", hint: "\(example); at least the slash is needed") }
    let decoded = try decodedPath(example: example)
    guard !decoded.contains(UInt8(ascii: "$")), !decoded.contains(UInt8(ascii: ",")) else {
      throw fault("has a $ or a comma in its path, which Longhorn does not take", hint: example)
    }
    return String(decoding: decoded, as: UTF8.self).split(separator: "/")
  }
}
