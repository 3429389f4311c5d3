// What a restore refuses of volumes' backups. A verification asks the same questions, so that none is called good that can't
// be restored.

extension ObjectStore {
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
    let volume = try backedUpVolume(url.volume)
    guard let backup = try volumeBackupConfig(name, of: url.volume) else {
      throw StoreError(
        .notFound, "cannot find backup \(name) of volume \(url.volume) in backupstore \(self.url)",
        hint: volume.lastBackupName.isEmpty ? "" : "the volume's last backup is \(volume.lastBackupName)")
    }
    try checkComplete(backup, of: volume)
    return (volume, backup)
  }

  /// The config of a volume that has backups, as those need it. Throws `not-found` or `bad-config`.
  func backedUpVolume(_ name: String) throws(StoreError) -> VolumeConfig {
    guard let volume = try volumeConfig(name) else {
      throw StoreError(
        .notFound, "cannot find volume \(name) in backupstore \(url)",
        hint: "see which backups the target has, and whether the URL is the right one")
    }
    return volume
  }

  /// Throws `unfinished-backup`, `bad-config` or `not-supported` for what `completeVolumeBackup` does not give out.
  func checkComplete(_ backup: VolumeBackupConfig, of volume: VolumeConfig) throws(StoreError) {
    let place = StorePool.volume(volume.name).url(of: backup.name, in: self)
    guard backup.isComplete else {
      throw StoreError(
        .unfinishedBackup, "the backup \(place) is still in progress: it has no time of completion",
        hint: "wait until it is complete; if its maker died, back up the volume again or delete it")
    }
    guard backup.singleFile.isEmpty else {
      throw StoreError(
        .notSupported, "the backup \(place) is one file, \(backup.singleFile.debugDescription), and not blocks",
        hint: "copy that file out of the store")
    }
    try backup.check(within: volume.size, path: "\(url)/\(StoreLayout.volumeBackup(backup.name, of: volume.name))")
  }

  /// The complete backup of the image that the volume lies over; nil for a volume without one. Takes no lock. Throws
  /// `not-found`, `unfinished-backup`, `bad-config`, or `checksum-mismatch` where it is another image of that name.
  public func completeBase(of volume: VolumeConfig) throws(StoreError) -> ImageConfig? {
    guard !volume.backingImageName.isEmpty else { return nil }
    let image = try completeImage(named: volume.backingImageName)
    try image.check(isBaseOf: volume)
    return image
  }
}

extension VolumeConfig {
  /// Where the backup of the volume's backing image is: beside the volume's. Nil for a volume without one.
  public func base(in target: StoreURL) -> ImageBackupURL? {
    backingImageName.isEmpty ? nil : ImageBackupURL(target: target, name: backingImageName)
  }
}

extension ImageConfig {
  /// Another image of the same name would give garbage. Throws `checksum-mismatch`.
  public func check(isBaseOf volume: VolumeConfig) throws(StoreError) {
    let wanted = volume.backingImageChecksum
    guard !wanted.isEmpty, !checksum.isEmpty, wanted != checksum else { return }
    throw StoreError(
      .checksumMismatch,
      "volume \(volume.name) lies over an image \(name) with SHA-512 \(wanted.prefix(16))…, but the one in the store has "
        + "\(checksum.prefix(16))…",
      hint: "the store holds another image of that name; the volume can't be restored without its own")
  }
}
