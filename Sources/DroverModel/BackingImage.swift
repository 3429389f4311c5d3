/// A disk image that Drover keeps: Longhorn's BackingImage.
public enum BackingImage {
  /// Longhorn's words.
  public enum State: String, Sendable, Codable, CaseIterable {
    case pending, starting
    case inProgress = "in-progress"
    case ready, failed, unknown
  }
}
