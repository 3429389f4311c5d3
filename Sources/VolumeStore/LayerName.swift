/// Names of a volume's files. Source: longhorn-format, 14.1.
public enum LayerName {
  static let record = "volume.meta"
  static let lock = "volume.lock"
  static let layersLock = "volume.layers.lock"
  private static let snapshotPrefix = "volume-snap-"
  private static let headPrefix = "volume-head-"
  private static let suffix = ".img"

  /// The layer's file of a snapshot.
  public static func ofSnapshot(_ name: String) -> String { snapshotPrefix + name + suffix }

  /// The snapshot that a layer's file belongs to; nil for any other file.
  public static func snapshot(of file: String) -> String? {
    guard file.hasPrefix(snapshotPrefix), file.hasSuffix(suffix) else { return nil }
    let name = file.dropFirst(snapshotPrefix.count).dropLast(suffix.count)
    guard !name.isEmpty, !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 < 0x20 }) else { return nil }
    return String(name)
  }

  static func head(_ number: Int) -> String {
    let digits = String(number)
    return headPrefix + String(repeating: "0", count: max(0, 3 - digits.count)) + digits + suffix
  }

  static func headNumber(of file: String) -> Int? {
    guard file.hasPrefix(headPrefix), file.hasSuffix(suffix) else { return nil }
    let digits = file.dropFirst(headPrefix.count).dropLast(suffix.count).utf8
    guard digits.count == 3, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
      return nil
    }
    return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }

  static func isHead(_ file: String) -> Bool { headNumber(of: file) != nil }

  /// Longhorn's rule: the last digit alone is counted on, so the numbers run 000 to 010 and then 001 again.
  static func head(after file: String) -> String { head((headNumber(of: file) ?? 0) % 10 + 1) }

  static func record(of layer: String) -> String { layer + ".meta" }
  static func checksum(of layer: String) -> String { layer + ".checksum" }

  /// Whether a snapshot may be given this name here. What other programs named is read with fewer demands.
  static func isValid(snapshot name: String) -> Bool {
    let bytes = Array(name.utf8)
    let first = bytes.first.map(isLetterOrDigit) ?? false
    return first && bytes.count <= 200
      && bytes.allSatisfy {
        isLetterOrDigit($0) || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
      }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
