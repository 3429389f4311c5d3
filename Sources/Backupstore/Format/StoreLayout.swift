import OpenSSL

/// Where things lie below a target. Paths are relative to it. Source: longhorn-format, 2.
enum StoreLayout {
  static let base = "backupstore"
  static let images = "backupstore/backing-images/backing-images"
  static let imageBlocks = "backupstore/backing-images/blocks"
  static let imageConfigName = "backing-image.cfg"
  static let blockSuffix = ".blk"
  static let lockSuffix = ".lck"
  /// All images share the locks of this one name, which is a volume's in the layout.
  static let imageLocks = "\(volume("BACKINGIMAGE"))/locks"

  static func image(_ name: String) -> String { "\(images)/\(name)" }
  static func imageConfig(_ name: String) -> String { "\(images)/\(name)/\(imageConfigName)" }

  /// `backupstore/volumes/aa/bb/NAME`, aa and bb from the hash of the name.
  static func volume(_ name: String) -> String {
    var name = name
    let digits = name.withUTF8 { hexadecimal(BlockHash.hash(UnsafeRawBufferPointer($0))) }
    return "backupstore/volumes/\(digits.prefix(2))/\(digits.dropFirst(2).prefix(2))/\(name)"
  }

  static func imageBlock(_ name: BlockName) -> String {
    let digits = name.description
    return "\(imageBlocks)/\(digits.prefix(2))/\(digits.dropFirst(2).prefix(2))/\(digits)\(blockSuffix)"
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
