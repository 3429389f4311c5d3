/// A run of a backup's blocks, or of what none of them covers. In bytes.
public struct StoredExtent: Sendable, Hashable {
  public var offset: UInt64
  public var length: UInt64
  public var isData: Bool

  public init(offset: UInt64, length: UInt64, isData: Bool) {
    self.offset = offset
    self.length = length
    self.isData = isData
  }
}
