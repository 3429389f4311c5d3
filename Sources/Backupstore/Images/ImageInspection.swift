extension ObjectStore {
  /// The config of a complete backup. Takes no lock. Throws `not-found`, `unfinished-backup` or `bad-config`.
  public func completeImage(_ url: ImageBackupURL) throws(StoreError) -> ImageConfig {
    try completeImage(named: url.name)
  }

  /// `name` is a valid name.
  func completeImage(named name: String) throws(StoreError) -> ImageConfig {
    guard var config = try imageConfig(name) else {
      throw StoreError(
        .notFound, "cannot find image \(name) in backupstore \(url)",
        hint: "see which backups the target has, and whether the URL is the right one")
    }
    guard config.isComplete else {
      throw StoreError(
        .unfinishedBackup,
        "the backup \(StorePool.images.url(of: name, in: self)) is still in progress: it has no time of completion",
        hint: "wait until it is complete; if its maker died, back up the image again or delete it")
    }
    // The folder's name is what counts.
    config.name = name
    return config
  }
}
