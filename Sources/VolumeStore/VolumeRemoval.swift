import LinuxSystem

/// Takes a volume away, with all its snapshots.
public enum VolumeRemoval {
  /// It is gone with its name; what a crash leaves of its files the next removal of that name takes away. Throws
  /// `notFound` where there was nothing, and `locked` while somebody has it open or restores it.
  public static func remove(_ folder: VolumeFolder) throws {
    let doomed = folder.beside("removed")
    let partial = folder.beside("partial")
    var isThere = false
    for rest in [doomed, partial] where try FileStatus.of(rest.path, followLinks: false) != nil {
      let lock = try rest.lock(VolumeRestoration.lockName)
      defer { withExtendedLifetime(lock) {} }
      try rest.effect("remove what was left")
      try Folder.removeTree(rest.path)
      isThere = true
    }
    if try FileStatus.of(folder.path, followLinks: false) != nil {
      let locks = try [folder.lock(LayerName.lock), folder.lock(LayerName.layersLock)]
      defer { withExtendedLifetime(locks) {} }
      try folder.effect("rename the folder")
      try Folder.renameNew(folder.path, doomed.path)
      try doomed.effect("remove the folder")
      try Folder.removeTree(doomed.path)
      isThere = true
    }
    if !isThere { throw VolumeError(.notFound, "there is no volume in \(folder.path)") }
  }
}
