/// The tap of a copy from 0 on: the pump's threads feed it in turn, each with its own buffer.
final class OrderedHash: @unchecked Sendable {
  // Sendable: `add` and `addZeros` are called by one thread at a time, in turn; `finish` after all of them.
  private var hasher: ImageHasher?
  private let hashesBlocks: Bool

  /// - Parameter claim: What the source says of the very bytes that are copied; its list of blocks is believed where the
  ///   whole turns out to have its checksum. Nil, or without a list: each block is hashed.
  init(claim: ImageChecksum? = nil) {
    let known = claim?.blockHashes == nil ? nil : claim
    hashesBlocks = known == nil
    hasher = ImageHasher(claim: known)
  }

  /// What can be hashed beside the others, before one's turn: the whole blocks.
  func prepare(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt8]? {
    hashesBlocks ? BlockHashList.whole(bytes, at: offset) : nil
  }

  func add(_ bytes: UnsafeRawBufferPointer, _ prepared: [UInt8]?) { hasher?.add(bytes, ready: prepared) }

  func addZeros(_ count: UInt64, check: () throws -> Void) throws {
    try hasher?.addZeros(count, check: check)
  }

  /// Once.
  func finish() -> ImageChecksum? {
    guard let last = hasher.take() else { return nil }
    return last.finish()
  }
}
