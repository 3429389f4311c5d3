/// How an image file's bytes describe a disk.
public enum ImageFormat: String, Sendable, Codable {
  /// The bytes are the disk.
  case raw
  case qcow2
}

/// What an image file's first bytes say.
public struct ImageDescription: Sendable, Hashable {
  public var format: ImageFormat
  /// Bytes of the disk that a guest sees.
  public var virtualSize: UInt64
  /// A qcow2 file that needs another file below it.
  public var hasBackingFile: Bool

  public init(format: ImageFormat, virtualSize: UInt64, hasBackingFile: Bool = false) {
    self.format = format
    self.virtualSize = virtualSize
    self.hasBackingFile = hasBackingFile
  }

  /// By content, never by name. What has qcow2's magic but no header that can be true is raw: it is some disk's bytes.
  public static func of(_ file: any ImageBytes) throws -> ImageDescription {
    let size = try file.shape().size
    let start = try file.bytes(Qcow2Header.length, at: 0)
    guard let header = try? Qcow2Header(start, path: file.path) else {
      return ImageDescription(format: .raw, virtualSize: size)
    }
    return ImageDescription(
      format: .qcow2, virtualSize: header.virtualSize, hasBackingFile: header.backingFile.offset != 0)
  }
}
