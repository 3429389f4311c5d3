import OpenSSL

/// Where things lie below a target. Paths are relative to it. Source: longhorn-format, 2.
enum StoreLayout {
  static let base = "backupstore"
  static let images = "backupstore/backing-images/backing-images"
  static let imageBlocks = "backupstore/backing-images/blocks"
  static let imageConfigName = "backing-image.cfg"
  static let blockSuffix = ".blk"
  static let lockSuffix = ".lck"
  static let volumes = "backupstore/volumes"
  static let volumeConfigName = "volume.cfg"
  /// All images share the locks of this one name, which is a volume's in the layout.
  static let imageLockName = "BACKINGIMAGE"
  static let imageLocks = volumeLocks(imageLockName)

  static func image(_ name: String) -> String { "\(images)/\(name)" }
  static func imageConfig(_ name: String) -> String { "\(images)/\(name)/\(imageConfigName)" }

  /// `backupstore/volumes/aa/bb/NAME`, aa and bb from the hash of the name.
  static func volume(_ name: String) -> String {
    var name = name
    let digits = name.withUTF8 { hexadecimal(BlockHash.hash(UnsafeRawBufferPointer($0))) }
    return "\(volumes)/\(digits.prefix(2))/\(digits.dropFirst(2).prefix(2))/\(name)"
  }

  static func volumeConfig(_ name: String) -> String { "\(volume(name))/\(volumeConfigName)" }
  static func volumeLocks(_ name: String) -> String { "\(volume(name))/locks" }
  static func volumeBlocks(_ name: String) -> String { "\(volume(name))/blocks" }
  static func volumeBackups(_ name: String) -> String { "\(volume(name))/backups" }
  static func volumeBackup(_ name: String, of volume: String) -> String {
    "\(volumeBackups(volume))/\(backupPrefix)\(name)\(backupSuffix)"
  }
  private static let backupPrefix = "backup_"
  private static let backupSuffix = ".cfg"

  /// The backup that a file in a volume's folder of backups is; nil for a foreign file.
  static func volumeBackup(file: String) -> String? {
    guard file.hasPrefix(backupPrefix), file.hasSuffix(backupSuffix) else { return nil }
    let name = String(file.dropFirst(backupPrefix.count).dropLast(backupSuffix.count))
    return StoreName.isValid(name) ? name : nil
  }

  static func imageBlock(_ name: BlockName) -> String { block(name, in: imageBlocks) }

  static func block(_ name: BlockName, in folder: String) -> String {
    let digits = name.description
    return "\(folder)/\(digits.prefix(2))/\(digits.dropFirst(2).prefix(2))/\(digits)\(blockSuffix)"
  }

  /// The block that `aa/bb/FILE` below a folder of blocks holds; nil for a foreign file.
  static func block(atRelative path: String) -> BlockName? {
    guard path.hasSuffix(blockSuffix) else { return nil }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, let name = BlockName(parts[2].dropLast(blockSuffix.count)) else { return nil }
    guard parts[0] == parts[2].prefix(2), parts[1] == parts[2].dropFirst(2).prefix(2) else { return nil }
    return name
  }

  /// Whether a folder among blocks may hold blocks: two hexadecimal digits.
  static func isBlockFolder(_ name: String) -> Bool {
    name.utf8.count == 2
      && name.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }
}
