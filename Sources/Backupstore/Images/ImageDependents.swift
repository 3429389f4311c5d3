import Synchronization

extension ObjectStore {
  /// Names of the volumes in the store whose backups hold only what differs from the image.
  ///
  /// A volume without backups needs nothing. Throws when a volume's config can't be read: then nobody knows. `threads`
  /// requests are made at once.
  public func volumes(
    needing image: String, threads: Int, observer: any StoreObserver
  ) throws(StoreError) -> [String] {
    let names = try volumeNames()
    let needing = Mutex<[String]>([])
    try Parallel.forEach(names.count, threads: threads) { (index) throws(StoreError) in
      try observer.checkCancelled()
      let name = names[index]
      let config = try self.volumeConfig(name)
      guard config == nil || config?.backingImageName == image else { return }
      if try self.backupNames(in: .volume(name)).isEmpty { return }
      guard config != nil else {
        throw .badConfig("\(self.url)/\(StoreLayout.volumeConfig(name))", "it is gone, but the volume has backups")
      }
      needing.withLock { $0.append(name) }
    }
    return needing.withLock { $0.sorted() }
  }

  /// Throws `in-use` while backups of volumes need the image's backup, and when nobody can tell. One that is not there is
  /// not needed.
  public func checkNotNeeded(
    image: String, threads: Int, observer: any StoreObserver
  ) throws(StoreError) {
    guard try status(of: StoreLayout.imageConfig(image), deadline: .usual) != nil else { return }
    let needing: [String]
    do throws(StoreError) {
      needing = try volumes(needing: image, threads: threads, observer: observer)
    } catch  where error.code == .badConfig {
      throw StoreError(
        .inUse, "whether a volume's backup needs image \(image) can't be told: \(error.message)",
        hint: "mend or delete that volume's backups first, or use --force")
    }
    guard let first = needing.first else { return }
    let others = needing.count > 1 ? " and \(needing.count - 1) other volumes" : ""
    throw StoreError(
      .inUse,
      "the backup of image \(image) in \(url) is needed by the backups of volume \(first)\(others), which hold only what "
        + "differs from it",
      hint: "delete those first, or use --force, and they can no longer be restored without the image itself")
  }
}
