/// One block of an image: where it lies in the image, and its name.
public struct BlockEntry: Sendable, Hashable {
  /// Bytes; a multiple of `ImageConfig.blockSize`.
  public var offset: UInt64
  public var name: BlockName

  public init(offset: UInt64, name: BlockName) {
    self.offset = offset
    self.name = name
  }
}

/// `backing-image.cfg`: an image's backup, or the stub that stands for one while it is made. Source: longhorn-format, 3.4.
public struct ImageConfig: Sendable, Hashable {
  /// Bytes of every block but the last one, which ends where the image does.
  public static let blockSize: UInt64 = 2 << 20

  public var name: String
  /// Bytes of the image file.
  public var size: UInt64
  /// As the document says it; what counts are `blocks`.
  public var blockCount: UInt64
  /// SHA-512 of the image file, 128 lower-case hexadecimal digits; empty where nobody computed it.
  public var checksum: String
  public var labels: [String: String]?
  /// As the document says it. Empty means gzip.
  public var compressionMethod: String
  /// See `StoreTime`.
  public var createdTime: String
  /// Empty while the backup is not complete.
  public var completeTime: String
  /// The names of a secret, never the secret.
  public var secret: String
  public var secretNamespace: String
  /// Ascending by offset. What no block covers reads as zero.
  public var blocks: [BlockEntry]
  /// Name of the lock under which Drover makes this backup; only in a stub of Drover's.
  public var droverLock: String?

  public var isComplete: Bool { !completeTime.isEmpty }

  /// The method with which the image was backed up, whatever single blocks were stored with.
  public var effectiveMethod: String { compressionMethod.isEmpty ? "gzip" : compressionMethod }

  /// Bytes in blocks.
  public var dataSize: UInt64 { blocks.reduce(0) { $0 + UInt64(blockLength(at: $1.offset)) } }

  public init(
    name: String, size: UInt64, blockCount: UInt64 = 0, checksum: String = "", labels: [String: String]? = nil,
    compressionMethod: String = "", createdTime: String = "", completeTime: String = "", secret: String = "",
    secretNamespace: String = "", blocks: [BlockEntry] = [], droverLock: String? = nil
  ) {
    self.name = name
    self.size = size
    self.blockCount = blockCount
    self.checksum = checksum
    self.labels = labels
    self.compressionMethod = compressionMethod
    self.createdTime = createdTime
    self.completeTime = completeTime
    self.secret = secret
    self.secretNamespace = secretNamespace
    self.blocks = blocks
    self.droverLock = droverLock
  }

  /// Bytes of the block at `offset`, which must lie in the image.
  func blockLength(at offset: UInt64) -> Int { Int(min(Self.blockSize, size - offset)) }

  /// Index of the first block at or after `offset`.
  func firstBlock(from offset: UInt64) -> Int {
    var low = 0
    var high = blocks.count
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Name of the block that begins at `offset`; nil for a hole.
  func block(at offset: UInt64) -> BlockName? {
    let index = firstBlock(from: offset)
    return index < blocks.count && blocks[index].offset == offset ? blocks[index].name : nil
  }
}
