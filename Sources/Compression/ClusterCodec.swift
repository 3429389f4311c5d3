/// How the compressed clusters of a disk image are stored.
public enum ClusterMethod: Sendable {
  /// Deflate's blocks without zlib's header and checksum.
  case deflate
  /// Zstandard frames.
  case zstd
}

/// Unpacks clusters of a disk image, one at a time. One owner; not for two threads at once.
public final class ClusterCodec {
  private enum Library {
    case deflate(RawDeflate)
    case zstd(ZstdFrames)
  }
  private let library: Library

  public init(_ method: ClusterMethod) {
    library =
      switch method {
      case .deflate: .deflate(RawDeflate())
      case .zstd: .zstd(ZstdFrames())
      }
  }

  /// Fills all of `output` from the beginning of `stored`, whose exact length an image does not tell: what follows is
  /// not looked at. Too few bytes are an error. What was written before an error stays in `output`.
  public func unpack(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    switch library {
    case .deflate(let deflate): unsafe try deflate.unpack(stored, into: output)
    case .zstd(let zstd): unsafe try zstd.unpack(stored, into: output)
    }
  }
}
