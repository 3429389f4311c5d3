/// Where an image's backup is: `TARGET?backingImage=NAME`. Source: longhorn-format, 1.4.
public struct ImageBackupURL: Sendable, Hashable, CustomStringConvertible {
  public var target: StoreURL
  /// Of the image in the store; valid by `StoreName`.
  public var name: String

  public init(target: StoreURL, name: String) {
    self.target = target
    self.name = name
  }

  /// Throws `invalid` or `not-supported`.
  public init(_ text: String) throws(StoreError) {
    let text = StoreURL.unquoted(text)
    target = try StoreURL(text)
    var found: String?
    if let query = text.firstIndex(of: "?") {
      for pair in text[text.index(after: query)...].split(separator: "&") where pair.hasPrefix("backingImage=") {
        found = StoreURL.percentDecoded(pair.dropFirst("backingImage=".count))
        break
      }
    }
    guard let found else {
      throw StoreError(
        .invalid, "\(text.debugDescription) names no backing image",
        hint: "an image's backup is written TARGET?backingImage=NAME")
    }
    guard StoreName.isValid(found) else {
      throw StoreError(.invalid, "\(found.debugDescription) is not a valid name of a backing image in a store")
    }
    name = found
  }

  /// With the target's options, as Longhorn writes it.
  public var description: String {
    "\(target.text)\(target.text.contains("?") ? "&" : "?")backingImage=\(name)"
  }
}
