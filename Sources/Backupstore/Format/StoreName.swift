/// The rules for names that become parts of paths. Source: longhorn-format, 1.7.
public enum StoreName {
  /// The longest that Longhorn's image manager reads.
  public static let longest = 64

  /// `^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`, and short enough for a file system.
  public static func isValid(_ name: some StringProtocol) -> Bool {
    let bytes = name.utf8
    guard (2...255).contains(bytes.count), let first = bytes.first, isAlphanumeric(first) else { return false }
    return bytes.allSatisfy {
      isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
    }
  }

  /// What a writer that crashed left beside its target: `NAME.tmp.DIGITS`.
  static func isTemporary(_ name: some StringProtocol) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 3, let digits = parts.last, !digits.isEmpty else { return false }
    return parts[parts.count - 2] == "tmp" && digits.utf8.allSatisfy { isDigit($0) }
  }

  /// Prefix, a dash, 16 random hexadecimal digits, as Longhorn makes names of backups and locks.
  static func random(_ prefix: String) -> String {
    let digits = String(UInt64.random(in: .min ... .max), radix: 16)
    return "\(prefix)-\(String(repeating: "0", count: 16 - digits.count))\(digits)"
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
  }
}
