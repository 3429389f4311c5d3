extension ImageConfig {
  /// Reads a document tolerantly and then checks it strictly: sizes, offsets, names and times that a restore would
  /// trust. `path` is where it came from, for the error. Throws `bad-config`.
  public init(decoding bytes: UnsafeRawBufferPointer, path: String) throws(StoreError) {
    do throws(JSONReader.Failure) {
      self = try Self.decode(bytes)
    } catch {
      throw .badConfig(path, "\(error.reason) at byte \(error.offset)")
    }
    if let problem = problem { throw .badConfig(path, problem) }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer) throws(JSONReader.Failure) -> ImageConfig {
    var config = ImageConfig(name: "", size: 0)
    var reader = JSONReader(bytes)
    try reader.object { (reader, key) throws(JSONReader.Failure) in
      if reader.null() { return }
      if key.matches("Name") {
        config.name = try reader.string()
      } else if key.matches("Size") {
        config.size = try reader.unsigned()
      } else if key.matches("BlockCount") {
        config.blockCount = try reader.unsigned()
      } else if key.matches("Checksum") {
        config.checksum = try reader.string()
      } else if key.matches("Labels") {
        config.labels = try reader.map()
      } else if key.matches("CompressionMethod") {
        config.compressionMethod = try reader.string()
      } else if key.matches("CreatedTime") {
        config.createdTime = try reader.string()
      } else if key.matches("CompleteTime") {
        config.completeTime = try reader.string()
      } else if key.matches("Secret") {
        config.secret = try reader.string()
      } else if key.matches("SecretNamespace") {
        config.secretNamespace = try reader.string()
      } else if key.matches("DroverLock") {
        config.droverLock = try reader.string()
      } else if key.matches("Blocks") {
        config.blocks = try reader.blocks()
      } else {
        try reader.skip()
      }
    }
    return config
  }

  /// What makes the document unfit to be trusted; nil when nothing does.
  private var problem: String? {
    if size > UInt64(Int64.max) { return "Size \(size) is too large" }
    if !checksum.isEmpty && !Self.isChecksum(checksum) { return "Checksum is not 128 hexadecimal digits" }
    if isComplete && size == 0 { return "Size is 0" }
    var last: UInt64?
    for block in blocks {
      if block.offset >= size { return "block offset \(block.offset) lies beyond the size \(size)" }
      if block.offset % Self.blockSize != 0 {
        return "block offset \(block.offset) is not a multiple of \(Self.blockSize)"
      }
      if block.offset == last { return "block offset \(block.offset) occurs twice" }
      last = block.offset
    }
    return nil
  }

  /// 128 lower-case hexadecimal digits.
  static func isChecksum(_ text: String) -> Bool {
    text.utf8.count == 128
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }
}

extension StoreError {
  static func badConfig(_ path: String, _ problem: String) -> StoreError {
    StoreError(
      .badConfig, "\(path) is not a valid config: \(problem)",
      hint: "the store is damaged there, or another program wrote it; a backup of that name can only be deleted")
  }
}
