/// One place of a store where blocks lie, and the backups that are made of them: all images share one pool, and each
/// volume has its own. A pool has its own lock domain. Source: longhorn-format, 2.
public enum StorePool: Sendable, Hashable {
  case images
  /// By the volume's name in the store.
  case volume(String)

  /// Longest block, in bytes, that a backup in it may be made of.
  static let longestBlock = 16 << 20

  /// Folder of the blocks.
  var blocks: String {
    switch self {
    case .images: StoreLayout.imageBlocks
    case .volume(let name): StoreLayout.volumeBlocks(name)
    }
  }

  var domain: LockDomain {
    switch self {
    case .images: .images
    case .volume(let name): .volume(name)
    }
  }

  func block(_ name: BlockName) -> String { StoreLayout.block(name, in: blocks) }
  /// Where a bad block is moved.
  func aside(_ name: BlockName) -> String { StoreLayout.block(name, in: blocks, suffix: StoreLayout.asideSuffix) }

  /// The backup's document.
  func config(of backup: String) -> String {
    switch self {
    case .images: StoreLayout.imageConfig(backup)
    case .volume(let name): StoreLayout.volumeBackup(backup, of: name)
    }
  }

  /// The URL of one of its backups, without the target's options.
  func url(of backup: String, in store: any ObjectStore) -> String {
    switch self {
    case .images: "\(store.url)?backingImage=\(backup)"
    case .volume(let name): "\(store.url)?backup=\(backup)&volume=\(name)"
    }
  }
}

extension StorePool: CustomStringConvertible {
  public var description: String {
    switch self {
    case .images: "the images"
    case .volume(let name): "volume \(name)"
    }
  }
}
