/// How the bytes of a block are stored. The raw value is Longhorn's word for it.
public enum CompressionMethod: String, Sendable, CaseIterable {
  case none
  case gzip
  case lz4

  /// What the stored bytes look like: a gzip member, an LZ4 frame, or neither. A raw block may look like either by
  /// chance, so only the block's hash proves it.
  public static func sniff(_ stored: UnsafeRawBufferPointer) -> CompressionMethod {
    if unsafe stored.starts(with: [0x1f, 0x8b]) { return .gzip }
    if unsafe stored.starts(with: [0x04, 0x22, 0x4d, 0x18]) { return .lz4 }
    return .none
  }
}
