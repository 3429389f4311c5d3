/// One look at what a store holds: its folders are listed, and only configs are read that are new or have changed.
///
/// It takes no lock and changes nothing. What it finds is told while it goes on, and holds only when `run` has returned:
/// after an error nothing is known of what was not told.
public struct StoreSync {
  /// What is different from what was seen.
  public enum Finding: Sendable {
    /// A config that is new or another one than before. The error is one of the config: `bad-config`.
    case image(name: String, version: String, Result<ImageConfig, StoreError>)
    /// An image's backup that was seen, and is certainly not there any more.
    case gone(image: String)
  }

  /// What the look came to.
  public struct Summary: Sendable, Hashable {
    /// Images' backups in the store, finished or not.
    public var images = 0
    /// Configs that were read.
    public var read = 0
    public var gone = 0
    /// There is nothing at all where backups were seen. A file system that is not mounted looks like that, so nothing
    /// counts as gone.
    public var isVanished = false
  }

  private let store: any ObjectStore
  private let observer: any StoreObserver

  public init(_ store: any ObjectStore, observer: any StoreObserver) {
    self.store = store
    self.observer = observer
  }

  /// Throws what listing and reading throw, and `cancelled`.
  public func run(
    _ seen: SeenBackups, found: (Finding) throws(StoreError) -> Void
  ) throws(StoreError) -> Summary {
    observer.phase("listing", nil)
    let listed = try imageVersions()
    var summary = Summary(images: listed.count)
    let changed = listed.filter { $0.value.isEmpty || seen.images[$0.key] != $0.value }.keys.sorted()
    observer.phase("reading", nil)
    for name in changed {
      guard !observer.isCancelled else { throw .cancelled }
      // One that went while the listing was made is found gone the next time.
      guard let config = try config(name) else { continue }
      summary.read += 1
      observer.progress(done: UInt64(summary.read), total: UInt64(changed.count))
      try found(.image(name: name, version: listed[name] ?? "", config))
    }
    let missing = seen.images.keys.filter { listed[$0] == nil }.sorted()
    guard !missing.isEmpty else { return summary }
    if listed.isEmpty, try !holdsAnything() {
      summary.isVanished = true
      return summary
    }
    for name in missing {
      guard !observer.isCancelled else { throw .cancelled }
      // A listing may be behind; what it says is gone is looked for once more.
      guard try store.status(of: StoreLayout.imageConfig(name), deadline: .usual) == nil else { continue }
      summary.gone += 1
      try found(.gone(image: name))
    }
    return summary
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

  /// Nil: certainly not there. Only what is wrong with the config itself is an answer; anything else is thrown.
  private func config(_ name: String) throws(StoreError) -> Result<ImageConfig, StoreError>? {
    do throws(StoreError) {
      guard var config = try store.imageConfig(name) else { return nil }
      // The folder's name is what counts.
      config.name = name
      return .success(config)
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
