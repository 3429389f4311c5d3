/// How a backup is read as a disk.
public struct ReadOptions: Sendable {
  /// Where it is given, what is lost reads as zeros and is told here, each block once; else it is an error.
  /// Called from any thread that reads.
  public var onLoss: (@Sendable (Loss) -> Void)?
  /// Bytes of unpacked blocks that are kept for the next read, and may be read before anybody asks. 0: none, for whoever
  /// reads each block once and whole.
  public var cacheBytes: Int

  public init(onLoss: (@Sendable (Loss) -> Void)? = nil, cacheBytes: Int = 0) {
    self.onLoss = onLoss
    self.cacheBytes = cacheBytes
  }
}
