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

  func length(of block: BlockEntry) -> Int {
    guard let size else { return Int(blockSize) }
    return Int(min(blockSize, size - block.offset))
  }
}

extension PooledBackup {
  /// `backup_NAME.cfg`. Throws `bad-config`. Source: longhorn-format, 3.3.
  init(decodingVolumeBackup bytes: UnsafeRawBufferPointer, path: String) throws(StoreError) {
    var backup = PooledBackup(ImageConfig(name: "", size: 0))
    backup.size = nil
    do throws(JSONReader.Failure) {
      var reader = JSONReader(bytes)
      try reader.object { (reader, key) throws(JSONReader.Failure) in
        if reader.null() { return }
        if key.matches("CreatedTime") {
          backup.isComplete = try !reader.rawString().isEmpty
        } else if key.matches("DroverLock") {
          backup.droverLock = try reader.string()
        } else if key.matches("Parameters") {
          try backup.readParameters(&reader)
        } else if key.matches("Blocks") {
          backup.blocks = []
          try reader.array { (reader) throws(JSONReader.Failure) in
            backup.blocks.append(try reader.block())
          }
        } else {
          try reader.skip()
        }
      }
    } catch {
      throw .badConfig(path, "\(error.reason) at byte \(error.offset)")
    }
    backup.blocks.sort { $0.offset < $1.offset }
    if let problem = backup.problem { throw .badConfig(path, problem) }
    self = backup
  }

  private mutating func readParameters(_ reader: inout JSONReader) throws(JSONReader.Failure) {
    try reader.object { (reader, key) throws(JSONReader.Failure) in
      guard key.matches("backup-block-size"), !reader.null() else { return try reader.skip() }
      let text = try reader.string()
      guard let size = Self.quantity(text) else { throw reader.failure("no size in backup-block-size") }
      if size != 0 { blockSize = size }
    }
  }

  /// Bytes, as Kubernetes writes them: digits, and Ki, Mi or Gi. Empty is zero.
  private static func quantity(_ text: String) -> UInt64? {
    if text.isEmpty { return 0 }
    for (suffix, shift) in [("Ki", UInt64(10)), ("Mi", 20), ("Gi", 30)] where text.hasSuffix(suffix) {
      guard let number = UInt64(text.dropLast(2)), number < 1 << 20 else { return nil }
      return number << shift
    }
    return UInt64(text)
  }

  private var problem: String? {
    if blockSize < 512 || blockSize > UInt64(StorePool.longestBlock) { return "a block size of \(blockSize) bytes" }
    var last: UInt64?
    for block in blocks {
      if block.offset % blockSize != 0 { return "block offset \(block.offset) is not a multiple of \(blockSize)" }
      if block.offset > UInt64(Int64.max) { return "block offset \(block.offset) is too large" }
      if block.offset == last { return "block offset \(block.offset) occurs twice" }
      last = block.offset
    }
    return nil
  }
}
