/// One look at what a store holds: its folders are listed, and only configs are read that are new or have changed.
///
/// It takes no lock and changes nothing. What it finds is told while it goes on, and holds only when `run` has returned:
/// after an error nothing is known of what was not told.
public struct StoreSync {
  /// What is different from what was seen.
  public enum Finding: Sendable {
    /// A config that is new or another one than before. The error is one of the config: `bad-config`.
    case image(name: String, version: String, Result<ImageConfig, StoreError>)
    /// The same of a volume's backup, with the image that the volume lies over where it lies over one.
    case backup(name: String, volume: String, version: String, Result<VolumeBackupConfig, StoreError>, image: String?)
    /// A backup that was seen, and is certainly not there any more.
    case goneImage(String)
    case goneBackup(name: String, volume: String)
  }

  /// What the look came to.
  public struct Summary: Sendable, Hashable {
    /// Images' backups in the store, finished or not.
    public var images = 0
    /// Volumes' backups in the store, finished or not.
    public var backups = 0
    /// Configs of backups that were read.
    public var read = 0
    public var gone = 0
    /// There is nothing at all where backups were seen. A file system that is not mounted looks like that, so nothing
    /// counts as gone.
    public var isVanished = false

    public init(images: Int = 0, backups: Int = 0, read: Int = 0, gone: Int = 0) {
      self.images = images
      self.backups = backups
      self.read = read
      self.gone = gone
    }
  }

  private let store: any ObjectStore
  private let observer: any StoreObserver
  private let threads: Int

  /// - Parameter threads: Requests at once. A config of an image of 1 TiB takes 20 MiB of memory.
  public init(_ store: any ObjectStore, observer: any StoreObserver, threads: Int = 8) {
    self.store = store
    self.observer = observer
    self.threads = threads
  }

  /// `found` is called on the calling thread, for images and then for volumes' backups, each by name; `gone` comes last.
  /// Throws what listing and reading throw, and `cancelled`.
  public func run(
    _ seen: SeenBackups, found: (Finding) throws(StoreError) -> Void
  ) throws(StoreError) -> Summary {
    observer.phase("listing", nil)
    let images = try imageVersions()
    let backups = try backupVersions()
    var summary = Summary(images: images.count, backups: backups.count)
    let newImages = Self.changed(images, seen.images)
    let newBackups = Self.changed(backups, seen.backups)
    observer.phase("reading", nil)
    let total = UInt64(newImages.count + newBackups.count)
    try each(newImages.count) { [store] index throws(StoreError) in
      try Self.judged { () throws(StoreError) in try store.imageConfig(newImages[index]) }
    } take: { index, config throws(StoreError) in
      // One that went while the listing was made is found gone the next time.
      guard let config else { return }
      summary.read += 1
      observer.progress(done: UInt64(summary.read), total: total)
      let name = newImages[index]
      // The folder's name is what counts.
      let named = config.map { config in
        var config = config
        config.name = name
        return config
      }
      try found(.image(name: name, version: images[name] ?? "", named))
    }
    var volumes: [String: VolumeConfig] = [:]
    let places = newBackups.map { Self.parts($0) }
    try each(places.count) { [store] index throws(StoreError) in
      let (volume, name) = places[index]
      let config = try Self.judged { () throws(StoreError) in try store.volumeBackupConfig(name, of: volume) }
      // Once for all of the volume's.
      guard index == 0 || places[index - 1].volume != volume else { return ReadBackup(config: config) }
      let read = try Self.judged { () throws(StoreError) in try store.volumeConfig(volume) }
      return ReadBackup(config: config, volume: try? read?.get())
    } take: { index, read throws(StoreError) in
      let (volume, name) = places[index]
      // A volume that can't be read says nothing of its image; its backups are told all the same.
      if let config = read.volume { volumes[volume] = config }
      guard let config = read.config else { return }
      summary.read += 1
      observer.progress(done: UInt64(summary.read), total: total)
      let image = volumes[volume].flatMap { $0.backingImageName.isEmpty ? nil : $0.backingImageName }
      let version = backups[newBackups[index]] ?? ""
      try found(.backup(name: name, volume: volume, version: version, config, image: image))
    }
    return try tellMissing(images, backups, seen, summary, found)
  }

  private struct ReadBackup: Sendable {
    /// Nil: certainly not there.
    var config: Result<VolumeBackupConfig, StoreError>?
    /// For the first backup of each volume.
    var volume: VolumeConfig?
  }

  /// Several calls at once, since a server far away takes its time for each; what they came to in order, as if they had
  /// been made one after the other.
  private func each<Made: Sendable>(
    _ count: Int, make: @escaping @Sendable (Int) throws(StoreError) -> Made,
    take: (Int, Made) throws(StoreError) -> Void
  ) throws(StoreError) {
    try Parallel.inOrder(count, threads: threads) { [observer] (index) throws(StoreError) in
      guard !observer.isCancelled else { throw .cancelled }
      return try make(index)
    } take: { index, made throws(StoreError) in
      try take(index, made)
    }
  }

  private func tellMissing(
    _ images: [String: String], _ backups: [String: String], _ seen: SeenBackups, _ summary: Summary,
    _ found: (Finding) throws(StoreError) -> Void
  ) throws(StoreError) -> Summary {
    var summary = summary
    let missingImages = seen.images.keys.filter { images[$0] == nil }.sorted()
    let missingBackups = seen.backups.keys.filter { backups[$0] == nil }.sorted()
    guard !missingImages.isEmpty || !missingBackups.isEmpty else { return summary }
    if images.isEmpty, backups.isEmpty, try !holdsAnything() {
      summary.isVanished = true
      return summary
    }
    // A listing may be behind; what it says is gone is looked for once more.
    func isGone(_ path: String) throws(StoreError) -> Bool {
      guard !observer.isCancelled else { throw .cancelled }
      guard try store.status(of: path, deadline: .usual) == nil else { return false }
      summary.gone += 1
      return true
    }
    for name in missingImages where try isGone(StoreLayout.imageConfig(name)) { try found(.goneImage(name)) }
    for path in missingBackups {
      let (volume, name) = Self.parts(path)
      guard try isGone(StoreLayout.volumeBackup(name, of: volume)) else { continue }
      try found(.goneBackup(name: name, volume: volume))
    }
    return summary
  }

  private static func changed(_ listed: [String: String], _ seen: [String: String]) -> [String] {
    listed.filter { $0.value.isEmpty || seen[$0.key] != $0.value }.keys.sorted()
  }

  /// By the image's name, the version of its config.
  private func imageVersions() throws(StoreError) -> [String: String] {
    var versions: [String: String] = [:]
    func isImage(_ name: some StringProtocol) -> Bool { StoreName.isValid(name) && !StoreName.isTemporary(name) }
    try store.survey(StoreLayout.images, depth: 2, deadline: .usual, enter: { isImage($0) }) { path, version in
      let parts = path.split(separator: "/")
      guard parts.count == 2, parts[1] == StoreLayout.imageConfigName, isImage(parts[0]) else { return }
      versions[String(parts[0])] = version
    }
    return versions
  }

  /// By `VOLUME/BACKUP`, the version of the backup's config.
  private func backupVersions() throws(StoreError) -> [String: String] {
    var versions: [String: String] = [:]
    let volumes = try store.volumeNames()
    try each(volumes.count) { [store] index throws(StoreError) in
      var files: [(name: String, version: String)] = []
      try store.survey(
        StoreLayout.volumeBackups(volumes[index]), depth: 1, deadline: .usual, enter: { _ in false }
      ) { file, version in
        if let name = StoreLayout.volumeBackup(file: file) { files.append((name, version)) }
      }
      return files
    } take: { index, files in
      for file in files { versions["\(volumes[index])/\(file.name)"] = file.version }
    }
    return versions
  }

  /// Of `VOLUME/BACKUP`.
  private static func parts(_ path: String) -> (volume: String, backup: String) {
    let slash = path.firstIndex(of: "/") ?? path.endIndex
    return (String(path[..<slash]), String(path[slash...].dropFirst()))
  }

  /// Nil: certainly not there. Only what is wrong with the config itself is an answer; anything else is thrown.
  private static func judged<Config: Sendable>(
    _ read: () throws(StoreError) -> Config?
  ) throws(StoreError) -> Result<Config, StoreError>? {
    do throws(StoreError) {
      return try read().map { .success($0) }
    } catch {
      guard error.code == .badConfig else { throw error }
      return .failure(error)
    }
  }

  /// Whether there is any sign of a store. Where folders are real its own outlives the last backup in it.
  private func holdsAnything() throws(StoreError) -> Bool {
    try store.names(in: "", deadline: .usual).contains(StoreLayout.base)
  }
}
