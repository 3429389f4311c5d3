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
      guard try self.backingImage(ofVolume: name) == image else { return }
      if try self.backupNames(in: .volume(name)).isEmpty { return }
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

  /// `BackingImageName` of `volume.cfg`; empty: it has none; nil: there is no such config.
  private func backingImage(ofVolume name: String) throws(StoreError) -> String? {
    let path = StoreLayout.volumeConfig(name)
    guard let bytes = try document(path, limit: 16 << 20) else { return nil }
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(JSONReader.Failure) -> String in
        var image = ""
        var reader = JSONReader(bytes)
        try reader.object { (reader, key) throws(JSONReader.Failure) in
          if reader.null() { return }
          if key.matches("BackingImageName") { image = Self.unquoted(try reader.string()) } else { try reader.skip() }
        }
        return image
      }
    }
    do throws(JSONReader.Failure) { return try result.get() } catch {
      throw .badConfig("\(url)/\(path)", "\(error.reason) at byte \(error.offset)")
    }
  }

  /// Go writes the name as a JSON string within a JSON string; a plain one is taken as well.
  private static func unquoted(_ text: String) -> String {
    text.hasPrefix("\"") && text.hasSuffix("\"") && text.utf8.count >= 2 ? String(text.dropFirst().dropLast()) : text
  }
}
