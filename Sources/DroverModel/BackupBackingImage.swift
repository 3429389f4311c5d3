/// The backup of an image in a store: Longhorn's BackupBackingImage.
public enum BackupBackingImage {
  /// Longhorn's words.
  public enum State: String, Sendable, Codable, CaseIterable {
    case pending = "Pending"
    case inProgress = "InProgress"
    case completed = "Completed"
    case error = "Error"
    case unknown = "Unknown"
  }
}
