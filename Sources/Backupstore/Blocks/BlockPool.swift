/// The folder of blocks that a backup's blocks lie in: one for all images of a store, one for each volume.
struct BlockPool: Sendable {
  /// Relative to the target.
  let folder: String
  /// What is read, for errors: `image parrot`.
  let owner: String
  /// Bytes of a block but perhaps the last one.
  let blockSize: Int

  static func images(reading image: String) -> BlockPool {
    BlockPool(folder: StoreLayout.imageBlocks, owner: "image \(image)", blockSize: Int(ImageConfig.blockSize))
  }

  static func volume(_ volume: String, blockSize: UInt64) -> BlockPool {
    BlockPool(folder: StoreLayout.volumeBlocks(volume), owner: "volume \(volume)", blockSize: Int(blockSize))
  }

  func path(of block: BlockName) -> String { StoreLayout.block(block, in: folder) }
}
