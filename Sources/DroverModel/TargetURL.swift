/// Where a backupstore is: the folder that holds `backupstore/`. This version takes `file:///absolute/dir` and
/// Longhorn's `vfs:///absolute/dir`, which mean the same.
///
/// Two are equal when they name the same path, however its bytes were written.
public struct TargetURL: Sendable, Hashable, CustomStringConvertible {
  /// The one form of the folder: `file://`, no trailing slash, no doubled ones, and each byte as it is where it may
  /// stand in a URL, else as `%XX`.
  public let text: String

  /// Throws `invalid`, or `not-supported` for a kind of store that Longhorn has and this version does not.
  public init(_ text: String, field: String = "backupTargetURL") throws(Fault) {
    let trimmed = text.trimmed
    let shown = ResourceName.printable(trimmed)
    let example = "write file:///absolute/folder"
    guard let colon = trimmed.range(of: "://") else {
      throw Fault(.invalid, "\(field): \"\(shown)\" is not the URL of a backup target", hint: example)
    }
    let scheme = trimmed[..<colon.lowerBound].lowercased()
    switch scheme {
    case "file", "vfs": break
    case "s3", "nfs", "cifs", "azblob":
      throw Fault(.notSupported, "\(field): \(scheme):// targets are not supported by this version", hint: example)
    default: throw Fault(.invalid, "\(field): \"\(shown)\" has the unknown scheme \"\(scheme)\"", hint: example)
    }
    let rest = trimmed[colon.upperBound...].utf8
    guard rest.first == UInt8(ascii: "/") else {
      throw Fault(.invalid, "\(field): \"\(shown)\" names a host; a folder has none", hint: example)
    }
    guard !rest.contains(UInt8(ascii: "?")), !rest.contains(UInt8(ascii: "#")) else {
      throw Fault(.invalid, "\(field): \"\(shown)\" has characters that a folder's URL can't have", hint: example)
    }
    guard let path = PercentEscapes.decoded(rest) else {
      throw Fault(
        .invalid, "\(field): \"\(shown)\" has a bad percent escape", hint: "write a % in a folder's name as %25")
    }
    guard !path.contains(where: { $0 < 32 || $0 == 127 }) else {
      throw Fault(.invalid, "\(field): \"\(shown)\" has characters that a folder's URL can't have", hint: example)
    }
    let dot = UInt8(ascii: ".")
    guard !path.split(separator: UInt8(ascii: "/")).contains(where: { $0 == [dot] || $0 == [dot, dot] }) else {
      throw Fault(.invalid, "\(field): \"\(shown)\" is not an absolute folder without . and ..", hint: example)
    }
    self.init(path: path)
  }

  /// The target in a local folder, `path` absolute.
  public init(folder path: String) { self.init(path: Array(path.utf8)) }

  private init(path: [UInt8]) {
    let parts = path.split(separator: UInt8(ascii: "/"))
    text = "file:///" + parts.map(PercentEscapes.encoded).joined(separator: "/")
  }

  public var description: String { text }
}

extension StringProtocol {
  var trimmed: String {
    var text = Substring(self)
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// Position of the first `text`, without Foundation.
  func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
