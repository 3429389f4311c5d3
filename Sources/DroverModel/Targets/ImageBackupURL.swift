/// One image's backup in a store: `file:///backups?backingImage=parrot`. Source: Longhorn's
/// `backupbackingimage/config.go`.
public struct ImageBackupURL: Sendable, Hashable, CustomStringConvertible {
  public let target: TargetURL
  /// Name of the image in the store.
  public let image: String

  public init(target: TargetURL, image: String) {
    self.target = target
    self.image = image
  }

  /// Takes also what shells and JSON make of `&`, and quotes round the whole, as Longhorn does.
  public init(_ text: String, field: String = "backup-url") throws(Fault) {
    let wanted = Self.unquoted(text)
    let sides = wanted.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let shown = ResourceName.printable(wanted)
    let pairs = (sides.count == 2 ? sides[1] : "").split(separator: "&")
    let names = pairs.filter { $0.hasPrefix("backingImage=") }.map { $0.dropFirst("backingImage=".count) }
    guard names.count == 1, let escaped = names.first else {
      let isVolume = pairs.contains { $0.hasPrefix("volume=") }
      throw Fault(
        isVolume ? .notSupported : .invalid,
        isVolume
          ? "\(field): \"\(shown)\" is the backup of a volume, not of an image"
          : "\(field): \"\(shown)\" is not the URL of an image's backup",
        hint: "write TARGET?backingImage=NAME, as status.url of a BackupBackingImage")
    }
    guard let bytes = PercentEscapes.decoded(escaped.utf8) else {
      throw Fault(.invalid, "\(field): \"\(shown)\" has a bad percent escape")
    }
    let name = String(decoding: bytes, as: UTF8.self)
    try ResourceName.checkReference(name, "\(field): backingImage")
    // What else stands in the query is the target's.
    let options = pairs.filter { !$0.hasPrefix("backingImage=") }
    target = try TargetURL(
      options.isEmpty ? String(sides[0]) : "\(sides[0])?\(options.joined(separator: "&"))", field: field)
    image = name
  }

  /// The target's options stay as they are, before the image: what opens the target is all there.
  public var text: String { "\(target.text)\(target.options.isEmpty ? "?" : "&")backingImage=\(image)" }
  public var description: String { text }

  /// The rule of the worker's own reader: each form of the escape of `&` is replaced once, and the bare `u0026` only
  /// in the query and before a key of it, since it may well be part of a folder's name.
  static func unquoted(_ text: String) -> String {
    var text = text
    while let first = text.first, first == "\"" || first == "'" || first.isWhitespace { text.removeFirst() }
    while let last = text.last, last == "\"" || last == "'" || last.isWhitespace { text.removeLast() }
    if let escape = text.range(of: #"\u0026"#) { text.replaceSubrange(escape, with: "&") }
    if let query = text.firstIndex(of: "?") {
      for key in ["backingImage=", "volume=", "backup="] {
        if let escape = text[query...].range(of: "u0026\(key)") {
          text.replaceSubrange(escape, with: "&\(key)")
          break
        }
      }
    }
    return text
  }
}
