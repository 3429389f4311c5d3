/// Stored bytes that can't be unpacked: damaged, cut off, or longer than they may be when unpacked.
public struct CompressionError: Error, Sendable, Hashable, CustomStringConvertible {
  public var method: CompressionMethod
  /// What the library answered.
  public var reason: String

  public var description: String { "\(method.rawValue): \(reason)" }
}
