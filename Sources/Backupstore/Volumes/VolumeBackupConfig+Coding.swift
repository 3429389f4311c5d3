extension VolumeBackupConfig {
  /// Reads a document tolerantly and then checks it strictly: sizes and offsets that a restore would trust. Whether the
  /// blocks lie within the volume only `check(within:)` can tell. `path` is where it came from, for the error. Throws
  /// `bad-config`.
  public init(decoding bytes: UnsafeRawBufferPointer, path: String) throws(StoreError) {
    do throws(JSONReader.Failure) {
      self = try Self.decode(bytes)
    } catch {
      throw .badConfig(path, "\(error.reason) at byte \(error.offset)")
    }
    if let problem { throw .badConfig(path, problem) }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer) throws(JSONReader.Failure) -> VolumeBackupConfig {
    var config = VolumeBackupConfig(name: "", volumeName: "")
    var reader = JSONReader(bytes)
    try reader.object { (reader, key) throws(JSONReader.Failure) in
      if reader.null() { return }
      if key.matches("Name") {
        config.name = try reader.string()
      } else if key.matches("VolumeName") {
        config.volumeName = try reader.string()
      } else if key.matches("SnapshotName") {
        config.snapshotName = try reader.string()
      } else if key.matches("SnapshotCreatedAt") {
        config.snapshotCreatedAt = try reader.string()
      } else if key.matches("CreatedTime") {
        config.createdTime = try reader.string()
      } else if key.matches("Size") {
        config.size = try reader.unsigned()
      } else if key.matches("Labels") {
        config.labels = try reader.map()
      } else if key.matches("Parameters") {
        config.parameters = try reader.map()
      } else if key.matches("IsIncremental") {
        config.isIncremental = try reader.boolean()
      } else if key.matches("CompressionMethod") {
        config.compressionMethod = try reader.string()
      } else if key.matches("NewlyUploadedDataSize") {
        config.newlyUploadedDataSize = try reader.unsigned()
      } else if key.matches("ReUploadedDataSize") {
        config.reUploadedDataSize = try reader.unsigned()
      } else if key.matches("DroverLock") {
        config.droverLock = try reader.string()
      } else if key.matches("Blocks") {
        config.blocks = try reader.blocks()
      } else if key.matches("SingleFile") {
        try reader.object { (reader, key) throws(JSONReader.Failure) in
          if reader.null() { return }
          if key.matches("FilePath") { config.singleFile = try reader.string() } else { try reader.skip() }
        }
      } else {
        try reader.skip()
      }
    }
    return config
  }

  /// What makes the document unfit to be trusted; nil when nothing does.
  private var problem: String? {
    guard let blockSize = BlockSize.parse(parameters?[BlockSize.parameter]) else {
      return "\(BlockSize.parameter) is no size of a block that can be read"
    }
    var last: UInt64?
    for block in blocks {
      if block.offset > UInt64(Int64.max) - blockSize { return "block offset \(block.offset) is too large" }
      if block.offset % blockSize != 0 { return "block offset \(block.offset) is not a multiple of \(blockSize)" }
      if block.offset == last { return "block offset \(block.offset) occurs twice" }
      last = block.offset
    }
    return nil
  }

  /// Throws `bad-config` where the backup can't be one of a volume of `size` bytes.
  func check(within size: UInt64, path: String) throws(StoreError) {
    guard size > 0 else { throw .badConfig(path, "the volume has no size") }
    guard size % blockSize == 0 else {
      throw .badConfig(path, "the volume's size \(size) is not a multiple of its blocks' \(blockSize) bytes")
    }
    if let last = blocks.last, last.offset >= size {
      throw .badConfig(path, "block offset \(last.offset) lies beyond the volume's size \(size)")
    }
  }

  /// The document as Longhorn writes it, but that what was left to process is never told; a stub with `droverLock` has
  /// one key more, at the end.
  public func encoded() -> [UInt8] {
    var document = DocumentText(blocks: blocks.count)
    document.string("Name", name)
    document.string("VolumeName", volumeName)
    document.string("SnapshotName", snapshotName)
    document.string("SnapshotCreatedAt", snapshotCreatedAt)
    document.string("CreatedTime", createdTime)
    document.number("Size", size)
    document.map("Labels", labels)
    document.map("Parameters", parameters)
    document.literal("IsIncremental", isIncremental ? "true" : "false")
    document.string("CompressionMethod", compressionMethod)
    document.number("NewlyUploadedDataSize", newlyUploadedDataSize)
    document.number("ReUploadedDataSize", reUploadedDataSize)
    document.literal("ProcessingBlocks", "null")
    document.blocks(blocks)
    var file = DocumentText()
    file.string("FilePath", singleFile)
    document.object("SingleFile", file)
    if let droverLock { document.string("DroverLock", droverLock) }
    return document.finish()
  }
}
