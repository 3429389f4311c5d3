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
}
