public import DroverModel

/// The daemon's configuration file.
public enum ConfigurationFile {
  /// Reads YAML or JSON; an empty file gives the defaults. `name` is the file's, for messages. Throws `invalid` or
  /// `not-supported`.
  public static func read(_ bytes: [UInt8], name: String) throws(Fault) -> Configuration {
    let documents = try ManifestDocument.read(bytes, name: name)
    guard documents.count <= 1 else {
      throw Fault(.invalid, "\(name) has \(documents.count) documents; a configuration is one")
    }
    do {
      return try Configuration(documents.first?.value ?? .null)
    } catch {
      throw Fault(error.code, "\(name): \(error.message)", hint: error.hint, retry: error.retry)
    }
  }
}
