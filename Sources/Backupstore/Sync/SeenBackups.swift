/// What was known of a store's backups before a look at it: which configs need not be read again.
public struct SeenBackups: Sendable, Hashable, Codable {
  /// By the image's name in the store; the version of its config when it was read, empty where nobody knows it.
  public var images: [String: String]
  /// The same of volumes' backups, by `VOLUME/BACKUP`.
  public var backups: [String: String]

  public init(images: [String: String] = [:], backups: [String: String] = [:]) {
    self.images = images
    self.backups = backups
  }

  private enum CodingKeys: CodingKey { case images, backups }

  /// What is missing is empty.
  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    images = try members.decodeIfPresent([String: String].self, forKey: .images) ?? [:]
    backups = try members.decodeIfPresent([String: String].self, forKey: .backups) ?? [:]
  }
}
