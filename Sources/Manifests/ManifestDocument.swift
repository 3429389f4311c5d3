public import DroverModel

/// One document of a YAML or JSON file.
public struct ManifestDocument: Sendable, Hashable {
  public var value: JSONValue
  /// File and line where it begins, for messages: `images.yaml:12`.
  public var position: String

  public init(value: JSONValue, position: String) {
    self.value = value
    self.position = position
  }

  /// Longest file that is read, in bytes.
  public static let longestFile = 4 << 20
}

extension ManifestDocument {
  /// The documents of a file, in order; empty ones are left out, and a `List` gives its items.
  ///
  /// `name` is the file's, for messages. Throws `invalid` with name, line and column for text that is not YAML or JSON,
  /// a key that stands twice in one object, and a file that is too large or refers to itself too often.
  public static func read(_ bytes: [UInt8], name: String) throws(Fault) -> [Self] {
    guard bytes.count <= longestFile else {
      throw Fault(.invalid, "\(name) has \(bytes.count) bytes; a manifest has at most \(longestFile)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Fault(.invalid, "\(name) is not UTF-8 text")
    }
    let documents: [Self]
    do {
      documents = try YAMLReader(text, name: name).documents()
    } catch {
      // Not all of JSON is YAML: tabs and surrogate pairs differ.
      guard error.isSyntax, let value = parseJSON(bytes) else { throw error.fault }
      documents = [Self(value: value, position: "\(name):1")]
    }
    return documents.flatMap(\.expanded)
  }

  private var expanded: [Self] {
    guard value["kind"]?.string == "List", let items = value["items"]?.array else { return [self] }
    return items.map { Self(value: $0, position: position) }
  }
}
