/// Stored bytes that can't be unpacked: damaged, cut off, or longer than they may be when unpacked.
public struct CompressionError: Error, Sendable, Hashable, CustomStringConvertible {
  /// For people: `gzip`, `lz4`, `deflate`, `zstd`.
  public var method: String
  /// What the library answered.
  public var reason: String

  public var description: String { "\(method): \(reason)" }

  init(method: String, reason: String) {
    self.method = method
    self.reason = reason
  }

  init(method: CompressionMethod, reason: String) { self.init(method: method.rawValue, reason: reason) }
}
