/// Removes the blocks that no image's backup refers to. Under the lock for deletion, and only when every config was read
/// and the set of them did not change meanwhile; any doubt keeps every block. Source: longhorn-format, 7.3 and 15.4.
struct BlockCollection {
  let session: StoreSession
  let lock: StoreLock
  /// Whether a listing of no images at all is believed: only after the last one was seen in a listing and removed.
  let trustsEmptyListing: Bool

  struct Outcome {
    var removed: Int
    /// Why nothing, or not everything, was removed.
    var kept: String?
  }

  private var store: any ObjectStore { session.store }

  /// Throws when it was cancelled or the lock was lost; what was not removed by then stays for the next time.
  func run() throws(StoreError) -> Outcome {
    let unreferenced: [BlockName]
    var unfinished: [String] = []
    do throws(StoreError) {
      unreferenced = try findUnreferenced { unfinished.append($0) }
    } catch  where error.code == .cancelled || error.code == .lockLost {
      throw error
    } catch {
      session.observer.log(.warning, "unreferenced blocks are kept: \(error.message)")
      return Outcome(removed: 0, kept: error.message)
    }
    // Nobody uses the store, so these are of writers that died.
    let files = try remove(unfinished)
    let blocks = try remove(unreferenced.map(StoreLayout.imageBlock))
    try store.sync(deadline: .usual)
    let kept = [files.text("unfinished files"), blocks.text("blocks")].compactMap { $0 }
    return Outcome(
      removed: unreferenced.count - blocks.count, kept: kept.isEmpty ? nil : kept.joined(separator: "; "))
  }

  /// Tells of unfinished writes on the way. Throws with the reason why no block may be removed.
  private func findUnreferenced(unfinished: (String) -> Void) throws(StoreError) -> [BlockName] {
    let present = try store.imageBlocks(observer: session.observer, temporary: unfinished)
    if present.isEmpty { return [] }
    let names = try store.imageNames()
    var unreferenced = present
    var images = 0
    for name in names {
      try session.observer.checkCancelled()
      session.observer.phase("counting references", name)
      guard let config = try config(name, unfinished) else { continue }
      images += 1
      for block in config.blocks { unreferenced.remove(block.name) }
    }
    if try store.imageNames() != names { throw doubt("the set of images changed while references were counted") }
    if images == 0 && !trustsEmptyListing {
      throw doubt("no image is listed, although there are \(present.count) blocks")
    }
    return unreferenced.sorted()
  }

  /// Nil for a name that holds no backup: a foreign file, or an empty folder.
  private func config(_ name: String, _ unfinished: (String) -> Void) throws(StoreError) -> ImageConfig? {
    guard let config = try store.imageConfig(name) else {
      let others = try store.names(in: StoreLayout.image(name), deadline: .usual)
      guard others.allSatisfy({ StoreName.isTemporary($0) }) else {
        throw doubt("image \(name) has files but no config")
      }
      for file in others { unfinished("\(StoreLayout.image(name))/\(file)") }
      return nil
    }
    if !config.isComplete, let holder = try lock.holder(of: config) {
      throw doubt("a backup of image \(name) is being made under the lock \(holder.name)")
    }
    return config
  }

  /// What could not be removed.
  private struct Failures {
    var count = 0
    var first: StoreError?

    func text(_ what: String) -> String? {
      first.map { "\(count) \(what) could not be removed, the first one because: \($0.message)" }
    }
  }

  /// Failures are collected: what can't be removed keeps nothing else. Each is tried once more in the end, since an
  /// error that passes would leave it to the next deletion, and there may never be one.
  private func remove(_ paths: [String]) throws(StoreError) -> Failures {
    let (again, _) = try attempt(paths)
    let (left, first) = try attempt(again)
    return Failures(count: left.count, first: first)
  }

  private func attempt(_ paths: [String]) throws(StoreError) -> (failed: [String], first: StoreError?) {
    var failed: [String] = []
    var first: StoreError?
    for (index, path) in paths.enumerated() {
      try session.observer.checkCancelled()
      session.observer.progress(done: UInt64(index), total: UInt64(paths.count))
      try lock.check()
      do throws(StoreError) {
        try store.remove(path, deadline: .usual)
      } catch {
        failed.append(path)
        first = first ?? error
      }
    }
    return (failed, first)
  }

  private func doubt(_ reason: String) -> StoreError { StoreError(.contentConflict, "\(reason)") }
}
