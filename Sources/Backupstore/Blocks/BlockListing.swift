extension ObjectStore {
  /// Names of all blocks of images that are there. Foreign files are left out.
  func imageBlocks(
    deadline: Deadline = .never, observer: any StoreObserver, temporary: (String) -> Void = { _ in }
  ) throws(StoreError) -> Set<BlockName> {
    var names: Set<BlockName> = []
    var seen = 0
    try visit(
      StoreLayout.imageBlocks, depth: 3, deadline: deadline, enter: StoreLayout.isBlockFolder
    ) { (path) throws(StoreError) in
      seen += 1
      if seen.isMultiple(of: 4096) {
        try observer.checkCancelled()
        observer.phase("listing the store", "\(seen) blocks")
      }
      if let name = StoreLayout.block(atRelative: path) {
        names.insert(name)
      } else if StoreName.isTemporary(path) {
        temporary("\(StoreLayout.imageBlocks)/\(path)")
      }
    }
    return names
  }
}
