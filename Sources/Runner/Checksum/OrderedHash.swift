import OpenSSL

/// The tap of a copy from 0 on: the pump's threads feed it in turn, each with its own buffer.
final class OrderedHash: @unchecked Sendable {
  // Sendable: `add` and `addZeros` are called by one thread at a time, in turn; `finish` after all of them.
  private var hasher: ImageHasher? = ImageHasher()
  private let blocks = BlockHasher()

  /// What can be hashed beside the others, before one's turn: the whole blocks.
  func prepare(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt8]? {
    BlockHashList.whole(bytes, at: offset, by: blocks)
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
