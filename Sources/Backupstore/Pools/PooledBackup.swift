/// What matters of a backup, an image's or a volume's, to whoever looks after the blocks.
struct PooledBackup: Sendable {
  var isComplete: Bool
  /// See `ImageConfig.droverLock`.
  var droverLock: String?
  /// Bytes of every block but a short last one.
  var blockSize: UInt64
  /// Where the last block ends; nil: all blocks are whole.
  var size: UInt64?
  /// Ascending by offset.
  var blocks: [BlockEntry]

  init(_ config: ImageConfig) {
    isComplete = config.isComplete
    droverLock = config.droverLock
    blockSize = ImageConfig.blockSize
    size = config.size
    blocks = config.blocks
  }

  init(_ config: VolumeBackupConfig) {
    isComplete = config.isComplete
    droverLock = config.droverLock
    blockSize = config.blockSize
    size = nil
    blocks = config.blocks
  }

  func length(of block: BlockEntry) -> Int {
    guard let size else { return Int(blockSize) }
    return Int(min(blockSize, size - block.offset))
  }
}
