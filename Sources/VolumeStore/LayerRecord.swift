import FoundationEssentials

/// The `.meta` file of a layer. Source: longhorn-format, 14.1.
public struct LayerRecord: Sendable, Hashable {
  /// The layer's file. What stands in the record is overridden by the name of its file.
  public var name: String
  /// File of the layer below; empty for the oldest.
  public var parent: String
  /// Deleted by the user, and still needed.
  public var isRemoved = false
  public var isUserCreated = false
  /// RFC 3339; may be empty.
  public var created = ""
  public var labels: [String: String]?

  public init(name: String, parent: String) {
    self.name = name
    self.parent = parent
  }

  init(_ bytes: [UInt8], name: String, path: String) throws {
    let given: Given
    do {
      given = try JSONDecoder().decode(Given.self, from: Data(bytes))
    } catch {
      throw VolumeError(.badFormat, "\(path) is no layer's record: \(bytes.isEmpty ? "it is empty" : "no valid JSON")")
    }
    self.init(name: name, parent: try Self.parent(given.Parent, path: path))
    isRemoved = given.Removed ?? false
    isUserCreated = given.UserCreated ?? false
    created = given.Created ?? ""
    labels = given.Labels?.mapValues { $0 ?? "" }
  }

  /// Only a snapshot's layer can lie below another. Anything else, such as a path that leads out of the folder, is refused.
  static func parent(_ name: String?, path: String) throws -> String {
    guard let name, !name.isEmpty else { return "" }
    guard LayerName.snapshot(of: name) != nil else {
      throw VolumeError(
        .badFormat, "\(path) names \(RecordText.quoted(name)) as its parent, which is no snapshot's file")
    }
    return name
  }

  private struct Given: Decodable {
    var Parent: String?
    var Removed: Bool?
    var UserCreated: Bool?
    var Created: String?
    var Labels: [String: String?]?
  }

  var bytes: [UInt8] {
    var text = RecordText()
    text.add("Name", name)
    text.add("Parent", parent)
    text.add("Removed", isRemoved)
    text.add("UserCreated", isUserCreated)
    text.add("Created", created)
    text.add("Labels", labels)
    return text.bytes
  }

  /// The moment as a record has it.
  public static func now() -> String { Date().formatted(.iso8601) }
}
