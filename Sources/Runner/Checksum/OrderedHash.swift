import LinuxSystem

/// The tap of a copy from 0 on: one thread hashes what the pump's threads hand it, in the order of their claims, so that
/// the one stream that can't be shared never waits for a read or a write.
///
/// What waits is bounded: by the pump's buffers, and runs of zeros by how many claims are under way.
final class OrderedHash: @unchecked Sendable {
  // Sendable: `hasher` belongs to the hashing thread from `start` to `close`, and to whoever calls `finish` after that.
  private var hasher: ImageHasher?
  private let hashesBlocks: Bool
  private let line = Monitor(Line())
  private let group = ThreadGroup()

  private struct Line {
    var next: UInt64 = 0
    var waiting: [UInt64: Piece] = [:]
    var isClosed = false
    var isShut = false
  }

  private enum Piece {
    case bytes(LentBytes, hashes: [UInt8]?)
    case zeros(UInt64)
  }

  /// How many claims may be ahead of the hash.
  private static let window: UInt64 = 16

  /// - Parameter claim: What the source says of the very bytes that are copied; its list of blocks is believed where the
  ///   whole turns out to have its checksum. Nil, or without a list: each block is hashed.
  init(claim: ImageChecksum? = nil) {
    let known = claim?.blockHashes == nil ? nil : claim
    hashesBlocks = known == nil
    hasher = ImageHasher(claim: known)
  }

  /// - Parameters:
  ///   - check: Asked now and then; throws to give up.
  ///   - failed: Called on the hashing thread, with what `check` threw.
  func start(check: @escaping @Sendable () throws -> Void, failed: @escaping @Sendable (any Error) -> Void) throws {
    try group.start("hash") { [self] in
      do { try hash(check) } catch { failed(error) }
    }
  }

  /// Of the whole blocks, by whoever has them: several at once are hashed for the price of one.
  func prepare(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> [UInt8]? {
    hashesBlocks ? BlockHashList.whole(bytes, at: offset) : nil
  }

  /// Hands over a claim's bytes; blocks while the hash is far behind. False once it was shut, and then nothing is given
  /// back.
  func add(_ lent: LentBytes, _ prepared: [UInt8]?, ticket: UInt64) -> Bool {
    add(.bytes(lent, hashes: prepared), ticket)
  }

  func addZeros(_ count: UInt64, ticket: UInt64) -> Bool { add(.zeros(count), ticket) }

  private func add(_ piece: Piece, _ ticket: UInt64) -> Bool {
    let isOpen: Bool = line.wait { line in
      if line.isShut { return false }
      return ticket < line.next + Self.window ? true : nil
    }
    guard isOpen else { return false }
    line.change { $0.waiting[ticket] = piece }
    return true
  }

  /// All was handed over; blocks until it is hashed.
  func close() {
    line.change { $0.isClosed = true }
    group.join()
  }

  /// Gives up: nobody waits any more.
  func shut() { line.change { $0.isShut = true } }

  /// Once, after `close`.
  func finish() -> ImageChecksum? {
    guard let last = hasher.take() else { return nil }
    return last.finish()
  }

  private func hash(_ check: () throws -> Void) throws {
    while let piece = next() {
      try check()
      switch piece {
      case .bytes(let lent, let hashes):
        hasher?.add(lent.bytes, ready: hashes)
        lent.giveBack()
      case .zeros(let count): try hasher?.addZeros(count, check: check)
      }
      line.change { $0.next += 1 }
    }
  }

  /// Nil at the end.
  private func next() -> Piece? {
    line.wait { line -> Piece?? in
      if line.isShut { return .some(nil) }
      if let piece = line.waiting.removeValue(forKey: line.next) { return piece }
      return line.isClosed ? .some(nil) : nil
    }
  }
}
