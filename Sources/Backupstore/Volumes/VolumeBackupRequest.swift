public import Compression

/// What a volume's backup is made of.
public struct VolumeBackupRequest: Sendable {
  /// Of the backup in the store.
  public var name: String
  /// Of the volume in the store.
  public var volume: String
  /// Bytes of the volume, the header of an encrypted one included; a multiple of `blockSize`.
  public var size: UInt64
  public var snapshot: String
  /// What it builds upon; nil: everything that the volume holds is given.
  public var base: Base?
  /// Every block is written, also where the store has it.
  public var rewrites: Bool
  /// Bytes of each block.
  public var blockSize: UInt64
  public var labels: [String: String]
  /// Where the store has no backup of the volume yet; else what that has.
  public var method: CompressionMethod
  /// That the volume lies over; empty where it lies over none.
  public var backingImage: String
  /// SHA-512 of that image's file, 128 lower-case hexadecimal digits; empty where it is not known.
  public var backingImageChecksum: String
  /// The job's own folder; the backup keeps `backup.locks` there.
  public var jobFolder: String
  /// Fills the buffer with what the snapshot holds at an offset, for blocks of the base that the store turns out to lack.
  /// May be called from any thread until the backup is closed.
  public var readSource: @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void

  /// An earlier backup of the volume, and the snapshot that it was made of: what is given is what changed since.
  public struct Base: Sendable, Hashable {
    public var backup: String
    public var snapshot: String

    public init(backup: String, snapshot: String) {
      self.backup = backup
      self.snapshot = snapshot
    }
  }

  public init(
    name: String, volume: String, size: UInt64, snapshot: String, base: Base? = nil, rewrites: Bool = false,
    blockSize: UInt64 = ImageConfig.blockSize, labels: [String: String] = [:], method: CompressionMethod = .lz4,
    backingImage: String = "", backingImageChecksum: String = "", jobFolder: String,
    readSource: @escaping @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void
  ) {
    self.name = name
    self.volume = volume
    self.size = size
    self.snapshot = snapshot
    self.base = base
    self.rewrites = rewrites
    self.blockSize = blockSize
    self.labels = labels
    self.method = method
    self.backingImage = backingImage
    self.backingImageChecksum = backingImageChecksum
    self.jobFolder = jobFolder
    self.readSource = readSource
  }

  /// Throws `invalid` or `bad-size` for what could not be restored by Longhorn. What becomes part of a path is a valid name.
  public func validate() throws(StoreError) {
    var names = [("backup", name), ("volume", volume), ("snapshot", snapshot)]
    if !backingImage.isEmpty { names.append(("backing image", backingImage)) }
    if let base { names += [("backup", base.backup), ("snapshot", base.snapshot)] }
    for (kind, name) in names where !StoreName.isValid(name) || StoreName.isTemporary(name) {
      throw StoreError(.invalid, "\(name.debugDescription) can't be the name of a \(kind) in a store")
    }
    guard [BlockSize.usual, 16 << 20].contains(blockSize) else {
      throw StoreError(.invalid, "a volume's backup has blocks of 2 or 16 MiB, not of \(blockSize) bytes")
    }
    guard size > 0, size % blockSize == 0, size <= UInt64(Int64.max) else {
      throw StoreError(
        .badSize, "volume \(volume) has \(size) bytes, which is not a positive multiple of its blocks' \(blockSize)")
    }
    if !backingImageChecksum.isEmpty, !ImageConfig.isChecksum(backingImageChecksum) {
      throw StoreError(.invalid, "the checksum of image \(backingImage) is not 128 lower-case hexadecimal digits")
    }
    if rewrites, base != nil {
      throw StoreError(.invalid, "a full backup builds upon no other")
    }
  }
}

/// A complete backup of a volume.
public struct VolumeBackupResult: Sendable, Hashable {
  public var url: VolumeBackupURL
  public var volume: VolumeConfig
  public var config: VolumeBackupConfig
}
