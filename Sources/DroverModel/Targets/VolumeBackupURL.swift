/// One backup of a volume in a store: `file:///backups?backup=backup-1&volume=data`. Source: Longhorn's
/// `backupstore/util.go`.
public struct VolumeBackupURL: Sendable, Hashable, CustomStringConvertible {
  public let target: TargetURL
  /// Of the volume in the store.
  public let volume: String
  public let backup: String

  /// Whether the text is meant as one: its query names a volume.
  public static func isMeant(by text: String) -> Bool {
    pairs(ImageBackupURL.unquoted(text)).contains { $0.0 == "volume" }
  }

  /// Takes what `ImageBackupURL` takes of shells and JSON.
  public init(_ text: String, field: String = "backup-url") throws(Fault) {
    let wanted = ImageBackupURL.unquoted(text)
    let shown = ResourceName.printable(wanted)
    let pairs = Self.pairs(wanted)
    func name(_ key: String) throws(Fault) -> String {
      let values = pairs.filter { $0.0 == key }
      guard values.count == 1, let bytes = PercentEscapes.decoded(values[0].1.utf8), !bytes.isEmpty else {
        throw Fault(
          .invalid, "\(field): \"\(shown)\" is not the URL of a volume's backup",
          hint: "write TARGET?backup=NAME&volume=NAME, as status.url of a Backup")
      }
      return String(decoding: bytes, as: UTF8.self)
    }
    volume = try name("volume")
    backup = try name("backup")
    let options = pairs.filter { $0.0 != "volume" && $0.0 != "backup" }.map { "\($0.0)=\($0.1)" }
    let place = wanted.prefix { $0 != "?" }
    target = try TargetURL(
      options.isEmpty ? String(place) : "\(place)?\(options.joined(separator: "&"))", field: field)
  }

  public init(target: TargetURL, volume: String, backup: String) {
    self.target = target
    self.volume = volume
    self.backup = backup
  }

  /// With another way to the same target.
  public func on(_ target: TargetURL) -> Self { Self(target: target, volume: volume, backup: backup) }

  /// The target's options stay as they are: what opens the target is all there.
  public var text: String {
    let query = "backup=\(PercentEscapes.encoded(backup.utf8))&volume=\(PercentEscapes.encoded(volume.utf8))"
    return "\(target.text)\(target.options.isEmpty ? "?" : "&")\(query)"
  }
  public var description: String { text }

  private static func pairs(_ text: String) -> [(Substring, Substring)] {
    let sides = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    return (sides.count == 2 ? sides[1] : "").split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (parts[0], parts.count == 2 ? parts[1] : "")
    }
  }
}
