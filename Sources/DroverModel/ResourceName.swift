/// What a name may look like. Source: Longhorn's rules, longhorn-manager `util/util.go` and backing-image-manager
/// `pkg/util/util.go`.
public enum ResourceName {
  /// Of a BackingImage: it is also the name in the store, where Longhorn takes no longer one.
  public static let imageLimit = 64
  /// Of a volume: it becomes part of a socket's path.
  public static let volumeLimit = 64
  /// Of any other object.
  public static let limit = 253

  /// Checks the name of a new object: `^[a-z0-9][a-z0-9_.-]+$`.
  public static func check(_ name: String, _ kind: ResourceKind) throws(Fault) {
    let limit = limit(kind)
    let what = "the name \"\(printable(name))\" of a \(kind.manifestName)"
    guard name.utf8.count <= limit else {
      throw Fault(.invalid, "\(what) has \(name.utf8.count) characters; at most \(limit) are allowed")
    }
    if fits(name, upperCase: false) { return }
    let rule = "a name is 2 or more of a-z 0-9 _ . - and begins with a letter or a digit"
    guard fits(name, upperCase: true) else { throw Fault(.invalid, "\(what) is not valid", hint: rule) }
    throw Fault(.invalid, "\(what) is not valid: capital letters", hint: "\(rule); try \(name.lowercased())")
  }

  public static func limit(_ kind: ResourceKind) -> Int {
    switch kind {
    case .backingImage: imageLimit
    case .volume: volumeLimit
    // In a store, or a volume's folder, there is something before and behind it.
    case .backup, .snapshot: limit - 30
    default: limit
    }
  }

  /// Checks the name that a snapshot has in its volume, or a backup in its store: there may be capital letters.
  public static func checkStored(_ name: String, _ field: String) throws(Fault) {
    guard name.utf8.count <= limit - 30, fits(name, upperCase: true) else {
      throw Fault(
        .invalid, "\(field): \"\(printable(name))\" is not a valid name",
        hint: "a name is 2 or more of a-z A-Z 0-9 _ . - and begins with a letter or a digit")
    }
  }

  /// Checks the name of an image that is referred to; in a store it may have capital letters.
  public static func checkReference(_ name: String, _ field: String) throws(Fault) {
    guard name.utf8.count <= imageLimit, fits(name, upperCase: true) else {
      throw Fault(.invalid, "\(field): \"\(printable(name))\" can't be the name of an image")
    }
  }

  private static func fits(_ name: String, upperCase: Bool) -> Bool {
    let bytes = Array(name.utf8)
    guard bytes.count >= 2 else { return false }
    return bytes.enumerated().allSatisfy { index, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): upperCase
      case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"): index > 0
      default: false
      }
    }
  }

  /// Foreign text for a message: at most 80 characters, control characters replaced.
  static func printable(_ text: String) -> String {
    let shown = text.prefix(80).map { character in
      character.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? "?" : character
    }
    return String(shown) + (text.count > 80 ? "…" : "")
  }
}
