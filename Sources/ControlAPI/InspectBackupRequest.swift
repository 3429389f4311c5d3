/// POST of `/v1/backups/inspect`; the answer has the fields of a BackupBackingImage's status.
public struct InspectBackupRequest: Sendable, Codable {
  /// `TARGET?backingImage=NAME`.
  public var url: String

  public init(url: String) { self.url = url }
}
