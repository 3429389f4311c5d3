/// What was known of a store's backups before a look at it: which configs need not be read again.
public struct SeenBackups: Sendable, Hashable, Codable {
  /// By the image's name in the store; the version of its config when it was read, empty where nobody knows it.
  public var images: [String: String]

  public init(images: [String: String] = [:]) { self.images = images }
}
