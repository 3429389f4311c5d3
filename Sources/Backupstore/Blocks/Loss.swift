/// A range of a disk whose bytes can't be had from its backup any more.
public struct Loss: Sendable, Hashable {
  /// Bytes.
  public var offset: UInt64
  public var length: UInt64
  /// Name of the block that is missing or bad; empty where it is not one block's fault.
  public var block: String
  public var reason: String

  public init(offset: UInt64, length: UInt64, block: String, reason: String) {
    self.offset = offset
    self.length = length
    self.block = block
    self.reason = reason
  }
}

extension StoreError {
  /// Whether a block that is gone or damaged is what went wrong, rather than the way to it.
  public var isLoss: Bool { code == .badBlock || code == .missingBlock }
}
