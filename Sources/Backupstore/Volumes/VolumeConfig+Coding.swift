extension VolumeConfig {
  /// Reads a document tolerantly (also one whose doubly quoted strings are plain) and then checks strictly what a restore
  /// would trust. `path` is where it came from, for the error. Throws `bad-config`.
  public init(decoding bytes: UnsafeRawBufferPointer, path: String) throws(StoreError) {
    do throws(JSONReader.Failure) {
      self = try Self.decode(bytes)
    } catch {
      throw .badConfig(path, "\(error.reason) at byte \(error.offset)")
    }
    if let problem { throw .badConfig(path, problem) }
  }

  private static func decode(_ bytes: UnsafeRawBufferPointer) throws(JSONReader.Failure) -> VolumeConfig {
    var config = VolumeConfig(name: "", size: 0)
    var reader = JSONReader(bytes)
    try reader.object { (reader, key) throws(JSONReader.Failure) in
      if reader.null() { return }
      if key.matches("Name") {
        config.name = try reader.string()
      } else if key.matches("Size") {
        config.size = try reader.unsigned()
      } else if key.matches("Labels") {
        config.labels = try reader.map()
      } else if key.matches("CreatedTime") {
        config.createdTime = try reader.string()
      } else if key.matches("LastBackupName") {
        config.lastBackupName = try reader.string()
      } else if key.matches("LastBackupAt") {
        config.lastBackupAt = try reader.string()
      } else if key.matches("BlockCount") {
        config.blockCount = try reader.unsigned()
      } else if key.matches("BackingImageName") {
        config.backingImageName = try reader.doublyQuoted()
      } else if key.matches("BackingImageChecksum") {
        config.backingImageChecksum = try reader.doublyQuoted()
      } else if key.matches("CompressionMethod") {
        config.compressionMethod = try reader.doublyQuoted()
      } else if key.matches("StorageClassName") {
        config.storageClassName = try reader.doublyQuoted()
      } else if key.matches("DataEngine") {
        config.dataEngine = try reader.doublyQuoted()
      } else {
        try reader.skip()
      }
    }
    return config
  }

  /// What makes the document unfit to be trusted; nil when nothing does.
  private var problem: String? {
    if size > UInt64(Int64.max) { return "Size \(size) is too large" }
    // They become parts of paths.
    if !backingImageName.isEmpty, !StoreName.isValid(backingImageName) {
      return "BackingImageName is not the name of an image"
    }
    if !lastBackupName.isEmpty, !StoreName.isValid(lastBackupName) {
      return "LastBackupName is not the name of a backup"
    }
    if !backingImageChecksum.isEmpty, !ImageConfig.isChecksum(backingImageChecksum) {
      return "BackingImageChecksum is not 128 hexadecimal digits"
    }
    return nil
  }

  /// The document, byte for byte as Longhorn writes it.
  public func encoded() -> [UInt8] {
    var document = DocumentText()
    document.string("Name", name)
    document.number("Size", size)
    document.map("Labels", labels)
    document.string("CreatedTime", createdTime)
    document.string("LastBackupName", lastBackupName)
    document.string("LastBackupAt", lastBackupAt)
    document.number("BlockCount", blockCount)
    document.doublyQuoted("BackingImageName", backingImageName)
    document.doublyQuoted("BackingImageChecksum", backingImageChecksum)
    document.doublyQuoted("CompressionMethod", compressionMethod)
    document.doublyQuoted("StorageClassName", storageClassName)
    document.doublyQuoted("DataEngine", dataEngine)
    return document.finish()
  }
}
