/// A backupstore that Drover knows: Longhorn's BackupTarget.
public enum BackupTarget {
  /// Where backups go that name no target. It is there from the start, in the state folder, and can't be deleted.
  public static let defaultName = "default"
}
