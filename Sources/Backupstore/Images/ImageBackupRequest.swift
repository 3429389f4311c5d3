public import Compression

/// What an image's backup is made of.
public struct ImageBackupRequest: Sendable {
  /// Name of the image in the store.
  public var name: String
  /// Bytes of the image file.
  public var size: UInt64
  /// SHA-512 of the image file, 128 lower-case hexadecimal digits; nil where only the commit will know it.
  public var checksum: String?
  public var labels: [String: String]
  public var method: CompressionMethod
  /// Names of a secret, never the secret.
  public var secret: String
  public var secretNamespace: String
  /// 32 bytes for each block of the image, holes included: what its content must be. Nil where nobody knows.
  public var blockHashes: [UInt8]?
  /// The job's own folder; the backup keeps files `backup.*` there.
  public var jobFolder: String
  /// Of the last checkpoint; nil begins anew.
  public var checkpoint: [UInt8]?
  /// Fills the buffer from the image at an offset, for blocks that the store turns out to lack. May be called from any
  /// thread until the backup is closed.
  public var readSource: @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void

  public init(
    name: String, size: UInt64, checksum: String?, labels: [String: String], method: CompressionMethod, secret: String,
    secretNamespace: String, blockHashes: [UInt8]?, jobFolder: String, checkpoint: [UInt8]?,
    readSource: @escaping @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void
  ) {
    self.name = name
    self.size = size
    self.checksum = checksum
    self.labels = labels
    self.method = method
    self.secret = secret
    self.secretNamespace = secretNamespace
    self.blockHashes = blockHashes
    self.jobFolder = jobFolder
    self.checkpoint = checkpoint
    self.readSource = readSource
  }

  /// Throws `invalid` or `bad-size` for what could not be restored by Longhorn.
  func validate() throws(StoreError) {
    guard StoreName.isValid(name), name.utf8.count <= StoreName.longest, !StoreName.isTemporary(name) else {
      throw StoreError(
        .invalid, "\(name.debugDescription) can't be the name of a backing image in a store",
        hint: "use 2 to \(StoreName.longest) letters, digits, _, . and -, beginning with a letter or a digit")
    }
    guard size % 512 == 0 && size > 0 else {
      throw StoreError(
        .badSize, "image \(name) has \(size) bytes, which is not a positive multiple of 512",
        hint: "an image file must be made of whole sectors")
    }
    if let checksum, !ImageConfig.isChecksum(checksum) {
      throw StoreError(.invalid, "the checksum of image \(name) is not 128 lower-case hexadecimal digits")
    }
    let blocks = (size + ImageConfig.blockSize - 1) / ImageConfig.blockSize
    if let blockHashes, UInt64(blockHashes.count) != blocks * 32 {
      throw StoreError(
        .invalid, "image \(name) comes with \(blockHashes.count / 32) block hashes, but has \(blocks) blocks")
    }
  }
}

/// A complete backup of an image, new or found.
public struct ImageBackupResult: Sendable, Hashable {
  public var url: ImageBackupURL
  public var config: ImageConfig
  /// Bytes of block objects written by this job, packed.
  public var uploadedBytes: UInt64
}
