extension ObjectStore {
  /// Names of volumes that have, or once had, backups here. The folder that only holds the images' locks is none.
  /// Any listing that fails fails all.
  public func volumeNames() throws(StoreError) -> [String] {
    var found: [String] = []
    for first in try names(in: StoreLayout.volumes, deadline: .usual) where StoreLayout.isBlockFolder(first) {
      let folder = "\(StoreLayout.volumes)/\(first)"
      for second in try names(in: folder, deadline: .usual) where StoreLayout.isBlockFolder(second) {
        let place = "\(folder)/\(second)"
        for name in try names(in: place, deadline: .usual) where StoreName.isValid(name) {
          // What lies where its name would not be looked for is foreign.
          if name != StoreLayout.imageLockName, StoreLayout.volume(name) == "\(place)/\(name)" { found.append(name) }
        }
      }
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Names of the volume's backups, complete or not; `volume` is a valid name.
  public func volumeBackupNames(_ volume: String) throws(StoreError) -> [String] {
    try names(in: StoreLayout.volumeBackups(volume), deadline: .usual)
      .compactMap(StoreLayout.volumeBackup)
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The volume's config; nil: there is certainly none. `name` is a valid name.
  public func volumeConfig(_ name: String) throws(StoreError) -> VolumeConfig? {
    let path = StoreLayout.volumeConfig(name)
    guard let bytes = try document(path, limit: Self.longestConfig) else { return nil }
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(StoreError) in try VolumeConfig(decoding: bytes, path: "\(url)/\(path)") }
    }
    var config = try result.get()
    // The folder's name is what counts.
    config.name = name
    return config
  }

  /// The backup's config, complete or not; nil: there is certainly none. Both are valid names.
  public func volumeBackupConfig(_ name: String, of volume: String) throws(StoreError) -> VolumeBackupConfig? {
    let path = StoreLayout.volumeBackup(name, of: volume)
    guard let bytes = try document(path, limit: Self.longestConfig) else { return nil }
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(StoreError) in try VolumeBackupConfig(decoding: bytes, path: "\(url)/\(path)") }
    }
    var config = try result.get()
    config.name = name
    config.volumeName = volume
    return config
  }

  /// A complete backup of blocks and its volume, checked against each other. Takes no lock. Throws `not-found`,
  /// `unfinished-backup`, `bad-config`, or `not-supported` for a backup that is one file.
  public func completeVolumeBackup(
    _ url: VolumeBackupURL
  ) throws(StoreError) -> (volume: VolumeConfig, backup: VolumeBackupConfig) {
    guard let name = url.backup else {
      throw StoreError(
        .invalid, "\(url) names a volume and none of its backups",
        hint: "a volume's backup is written TARGET?backup=NAME&volume=NAME")
    }
    guard let volume = try volumeConfig(url.volume) else {
      throw StoreError(
        .notFound, "cannot find volume \(url.volume) in backupstore \(self.url)",
        hint: "see which backups the target has, and whether the URL is the right one")
    }
    guard let backup = try volumeBackupConfig(name, of: url.volume) else {
      throw StoreError(
        .notFound, "cannot find backup \(name) of volume \(url.volume) in backupstore \(self.url)",
        hint: volume.lastBackupName.isEmpty ? "" : "the volume's last backup is \(volume.lastBackupName)")
    }
    guard backup.isComplete else {
      throw StoreError(
        .unfinishedBackup, "the backup \(url) is still in progress: it has no time of completion",
        hint: "wait until it is complete; if its maker died, back up the volume again or delete it")
    }
    guard backup.singleFile.isEmpty else {
      throw StoreError(
        .notSupported, "the backup \(url) is one file, \(backup.singleFile.debugDescription), and not blocks",
        hint: "copy that file out of the store")
    }
    try backup.check(within: volume.size, path: "\(self.url)/\(StoreLayout.volumeBackup(name, of: url.volume))")
    return (volume, backup)
  }
}
