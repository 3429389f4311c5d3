import OpenSSL

/// What is known of an image file's content.
struct ImageChecksum: Sendable, Equatable {
  /// 128 lower-case hexadecimal digits.
  var sha512: String
  /// 32 bytes for each 2 MiB; nil where nobody has them.
  var blockHashes: [UInt8]?
}

/// SHA-512 of the whole and of each block, over bytes that come in order.
struct ImageHasher: ~Copyable {
  private var whole = SHA512()
  private var blocks = BlockHashList()
  /// With a list of blocks, which is believed where the whole has this checksum.
  private let claim: ImageChecksum?
  private(set) var position: UInt64 = 0

  init(claim: ImageChecksum? = nil) { self.claim = claim }

  mutating func add(_ bytes: UnsafeRawBufferPointer, ready: [UInt8]? = nil) {
    whole.update(bytes)
    if claim == nil { blocks.add(bytes, ready: ready) }
    position += UInt64(bytes.count)
  }

  /// `check` is asked for each mebibyte and throws to give up.
  mutating func addZeros(_ count: UInt64, check: () throws -> Void) throws {
    var rest = count
    while rest > 0 {
      try check()
      let piece = min(rest, UInt64(Zeros.page.count))
      whole.update(UnsafeRawBufferPointer(rebasing: Zeros.page[..<Int(piece)]))
      rest -= piece
    }
    if claim == nil { blocks.addZeros(count) }
    position += count
  }

  consuming func finish() -> ImageChecksum {
    let hashes = blocks.finish()
    let sha512 = hexadecimal(whole.finish())
    guard let claim else { return ImageChecksum(sha512: sha512, blockHashes: hashes) }
    return claim.sha512 == sha512 ? claim : ImageChecksum(sha512: sha512, blockHashes: nil)
  }
}
