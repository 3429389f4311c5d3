extension ObjectStore {
  /// All pools: that of the images first, then those of the volumes by name.
  func pools() throws(StoreError) -> [StorePool] {
    try [.images] + volumeNames().map { .volume($0) }
  }

  /// Names of the backups in a pool, complete or not, sorted.
  func backupNames(in pool: StorePool) throws(StoreError) -> [String] {
    switch pool {
    case .images: return try imageNames()
    case .volume(let name):
      return try names(in: StoreLayout.volumeBackups(name), deadline: .usual)
        .compactMap { StoreLayout.volumeBackup(file: $0) }
        .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
  }

  /// What the backup is made of; nil: it is certainly not there. Throws `bad-config` for a document that a restore would not
  /// trust either.
  func pooledBackup(_ name: String, in pool: StorePool) throws(StoreError) -> PooledBackup? {
    switch pool {
    case .images: try imageConfig(name).map { PooledBackup($0) }
    case .volume(let volume): try volumeBackupConfig(name, of: volume).map { PooledBackup($0) }
    }
  }

  /// Calls `visit` for each block of the pool, `aside` for each that was moved aside, and `temporary` with the path of
  /// each unfinished write. Foreign files are left out.
  func visitBlocks(
    of pool: StorePool, observer: any StoreObserver, aside: (BlockName) -> Void = { _ in },
    temporary: (String) -> Void = { _ in }, _ visit: (BlockName) throws(StoreError) -> Void
  ) throws(StoreError) {
    var seen = 0
    try self.visit(
      pool.blocks, depth: 3, deadline: .never, enter: StoreLayout.isBlockFolder
    ) { (path) throws(StoreError) in
      seen += 1
      if seen.isMultiple(of: 4096) {
        try observer.checkCancelled()
        observer.phase("listing the store", "\(seen) blocks of \(pool)")
      }
      if let name = StoreLayout.block(atRelative: path) {
        try visit(name)
      } else if let name = StoreLayout.block(atRelative: path, suffix: StoreLayout.asideSuffix) {
        aside(name)
      } else if StoreName.isTemporary(path) {
        temporary("\(pool.blocks)/\(path)")
      }
    }
  }
}
