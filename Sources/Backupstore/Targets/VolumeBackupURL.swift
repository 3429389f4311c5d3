/// Where a volume's backup is: `TARGET?backup=NAME&volume=NAME`, or without `backup` the volume with all of them. Source:
/// longhorn-format, 1.3.
public struct VolumeBackupURL: Sendable, Hashable, CustomStringConvertible {
  public var target: StoreURL
  /// Valid by `StoreName`, like `backup`.
  public var volume: String
  public var backup: String?

  public init(target: StoreURL, volume: String, backup: String? = nil) {
    self.target = target
    self.volume = volume
    self.backup = backup
  }

  /// Whether the text is meant as one: its query has the key `volume`.
  public static func isMeant(by text: String) -> Bool {
    pairs(StoreURL.unquoted(text)).contains { $0.key == "volume" }
  }

  /// Throws `invalid` or `not-supported`.
  public init(_ text: String) throws(StoreError) {
    let text = StoreURL.unquoted(text)
    var found: [String: String] = [:]
    for pair in Self.pairs(text) where pair.key == "volume" || pair.key == "backup" {
      let (key, value) = (String(pair.key), pair.value)
      guard let name = Self.unescaped(value), StoreName.isValid(name) else {
        throw StoreError(.invalid, "\(value.debugDescription) is not a valid name of a \(key) in a store")
      }
      guard found.updateValue(name, forKey: key) == nil else {
        throw StoreError(.invalid, "\(text.debugDescription) names two of \(key)")
      }
    }
    guard let volume = found["volume"] else {
      throw StoreError(
        .invalid, "\(text.debugDescription) names no volume",
        hint: "a volume's backup is written TARGET?backup=NAME&volume=NAME")
    }
    self.volume = volume
    backup = found["backup"]
    target = try StoreURL(text)
  }

  /// With the target's options, keys sorted and values escaped, as Longhorn writes it.
  public var description: String {
    var pairs = Self.pairs(target.text).map { (key: String($0.key), value: Self.unescaped($0.value) ?? "") }
    if let backup { pairs.append(("backup", backup)) }
    pairs.append(("volume", volume))
    // Those of one key keep their order, as `sort` does in Swift.
    pairs.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let query = pairs.map { "\($0.key)=\(Self.escaped($0.value))" }.joined(separator: "&")
    return "\(target.description)?\(query)"
  }

  private static func pairs(_ text: String) -> [(key: Substring, value: Substring)] {
    guard let query = text.firstIndex(of: "?") else { return [] }
    return text[text.index(after: query)...].split(separator: "&").map { pair in
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (sides[0], sides.count == 2 ? sides[1] : "")
    }
  }

  private static func unescaped(_ value: Substring) -> String? {
    StoreURL.percentDecoded(value.map { $0 == "+" ? " " : String($0) }.joined())
  }

  /// As Go's `url.QueryEscape`.
  private static func escaped(_ value: String) -> String {
    var output = ""
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "~"):
        output.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: " "): output += "+"
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        output += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return output
  }
}
