/// Where a backupstore is: the place that holds `backupstore/`. Source: longhorn-format, 1.1.
///
/// - a folder: `file:///absolute/dir`, or Longhorn's `vfs:///absolute/dir`, which means the same;
/// - a bucket: `s3://BUCKET@REGION/PREFIX`, or `s3://BUCKET/PREFIX`;
/// - an NFS export: `nfs://HOST:/EXPORT/PATH`, with `?nfsOptions=…` where it needs any.
///
/// Two are equal when they name the same place, however it was written, whatever the options.
public struct TargetURL: Sendable, Hashable, CustomStringConvertible {
  public let place: Place
  /// The one form of the place, without options: no trailing slash, no doubled ones, and each byte as it is where it may
  /// stand in a URL, else as `%XX`.
  public let canonical: String
  /// What `nfsOptions` holds, one option an element.
  public let options: [String]

  public enum Place: Sendable {
    /// An absolute path.
    case folder(path: String)
    case bucket(BucketPlace)
    case export(ExportPlace)
  }

  /// Throws `invalid`, or `not-supported` for a kind of store that Longhorn has and this version does not.
  public init(_ text: String, field: String = "backupTargetURL") throws(Fault) {
    let trimmed = text.trimmed
    guard let colon = trimmed.range(of: "://") else {
      let shown = ResourceName.printable(trimmed)
      throw Fault(.invalid, "\(field): \"\(shown)\" is not the URL of a backup target", hint: Self.example)
    }
    let scheme = trimmed[..<colon.lowerBound].lowercased()
    let parts = URLParts(scheme: scheme, rest: trimmed[colon.upperBound...], whole: trimmed, field: field)
    switch scheme {
    case "file", "vfs":
      self.init(path: try parts.folderPath())
    case "s3":
      let bucket = try BucketPlace(parts)
      self.init(.bucket(bucket), canonical: bucket.text, options: [])
    case "nfs":
      let export = try ExportPlace(parts)
      self.init(.export(export), canonical: export.text, options: export.options)
    case "cifs", "azblob":
      throw Fault(
        .notSupported, "\(field): \(scheme):// targets are not supported yet",
        hint: scheme == "cifs" ? "mount the share and use file:///absolute/folder" : Self.example)
    default:
      throw Fault(
        .invalid, "\(field): \"\(parts.shown)\" has the unknown scheme \"\(ResourceName.printable(scheme))\"",
        hint: Self.example)
    }
  }

  /// The target in a local folder, `path` absolute.
  public init(folder path: String) { self.init(path: Array(path.utf8)) }

  private init(path: [UInt8]) {
    let parts = path.split(separator: UInt8(ascii: "/"))
    self.init(
      .folder(path: "/" + parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")),
      canonical: "file:///" + parts.map(PercentEscapes.encoded).joined(separator: "/"), options: [])
  }

  private init(_ place: Place, canonical: String, options: [String]) {
    self.place = place
    self.canonical = canonical
    self.options = options
  }

  /// With the options: what a driver is opened with.
  public var text: String { options.isEmpty ? canonical : "\(canonical)?\(MountOptions.query(options))" }
  public var description: String { text }

  public static func == (left: Self, right: Self) -> Bool { left.canonical == right.canonical }
  public func hash(into hasher: inout Hasher) { hasher.combine(canonical) }

  static let example = "write file:///absolute/folder, s3://BUCKET@REGION/PREFIX or nfs://HOST:/EXPORT/PATH"
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
