extension ImageConfig {
  /// The document, byte for byte as Longhorn writes it; a stub with `droverLock` has one key more, at the end.
  public func encoded() -> [UInt8] {
    var document = DocumentText(blocks: blocks.count)
    document.string("Name", name)
    document.number("Size", size)
    document.number("BlockCount", blockCount)
    document.string("Checksum", checksum)
    document.map("Labels", labels)
    document.string("CompressionMethod", compressionMethod)
    document.string("CreatedTime", createdTime)
    document.string("CompleteTime", completeTime)
    document.string("Secret", secret)
    document.string("SecretNamespace", secretNamespace)
    document.literal("ProcessingBlocks", isComplete ? #"{"Blocks":{}}"# : "null")
    document.blocks(blocks)
    if let droverLock { document.string("DroverLock", droverLock) }
    return document.finish()
  }
}
