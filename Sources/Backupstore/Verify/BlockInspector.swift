import Compression
import Synchronization

/// Reads blocks of one pool and says what they are. From many threads at once.
final class BlockInspector: Sendable {
  enum Finding: Sendable, Hashable {
    /// The content is what the name says; bytes unpacked, and as stored.
    case good(length: Int, stored: Int)
    case missing
    case bad(String)
  }

  /// How many blocks are inspected at once at the most: as many as are hashed side by side, where they are not too long to be
  /// held.
  let group: Int
  private let session: StoreSession
  private let pool: StorePool
  private let rate: ReadingRate?
  /// Longest block of the pool, in bytes.
  private let longest: Int
  private let free = Mutex<[Buffer]>([])

  private static let mostAtOnce = 4
  /// Bytes of unpacked blocks that a thread holds.
  private static let mostHeld = 16 << 20

  /// What one thread needs.
  private final class Buffer: @unchecked Sendable {
    // Sendable: between leaving `free` and coming back it belongs to one thread.
    let codec = BlockCodec(maximumBlock: 4096)
    /// A place of `longest` bytes for each block of a group.
    let plain: UnsafeMutableRawBufferPointer
    let stored: UnsafeMutableRawBufferPointer

    init(longest: Int, group: Int) {
      plain = .allocate(byteCount: group * longest, alignment: 4096)
      stored = .allocate(byteCount: 2 * longest, alignment: 4096)
    }

    deinit {
      plain.deallocate()
      stored.deallocate()
    }
  }

  /// - Parameter rate: Keeps all that use it below so many bytes of objects a second.
  init(_ session: StoreSession, _ pool: StorePool, longest: Int, rate: ReadingRate? = nil) {
    self.session = session
    self.pool = pool
    self.longest = longest
    self.rate = rate
    group = max(1, min(Self.mostAtOnce, Self.mostHeld / longest))
  }

  /// One that is bad is read once more before it is called so. Throws what keeps the store from being read, and on
  /// cancellation.
  func inspect(_ name: BlockName) throws(StoreError) -> Finding {
    let buffer = take()
    defer { give(buffer) }
    return try lookTwice(at: name, buffer)
  }

  /// The same of at most `group` blocks, in their order: those of full length are hashed side by side.
  func inspect(_ names: ArraySlice<BlockName>) throws(StoreError) -> [Finding] {
    let buffer = take()
    defer { give(buffer) }
    var findings: [Finding?] = []
    /// Blocks of full length, one after the other in the buffer, whose hashes are still to be told.
    var whole: [(index: Int, name: BlockName, stored: Int)] = []
    for name in names {
      try session.observer.checkCancelled()
      let place = UnsafeMutableRawBufferPointer(rebasing: buffer.plain[(whole.count * longest)...].prefix(longest))
      switch try unpack(name, into: place, buffer) {
      case .missing: findings.append(.missing)
      case .flawed: findings.append(nil)
      case .content(longest, let stored):
        whole.append((findings.count, name, stored))
        findings.append(nil)
      case .content(let length, let stored):
        let isGood = BlockName(of: UnsafeRawBufferPointer(rebasing: place[..<length])) == name
        findings.append(isGood ? .good(length: length, stored: stored) : nil)
      }
    }
    let content = UnsafeRawBufferPointer(rebasing: buffer.plain[..<(whole.count * longest)])
    for (block, hash) in zip(whole, BlockName.names(of: content, block: longest)) where block.name == hash {
      findings[block.index] = .good(length: longest, stored: block.stored)
    }
    // What is not plainly good is looked at by itself.
    var all: [Finding] = []
    for (name, finding) in zip(names, findings) {
      if let finding { all.append(finding) } else { all.append(try lookTwice(at: name, buffer)) }
    }
    return all
  }

  private func take() -> Buffer { free.withLock { $0.popLast() } ?? Buffer(longest: longest, group: group) }
  private func give(_ buffer: Buffer) { free.withLock { $0.append(buffer) } }

  private func lookTwice(at name: BlockName, _ buffer: Buffer) throws(StoreError) -> Finding {
    let first = try look(at: name, buffer)
    guard case .bad = first else { return first }
    return try look(at: name, buffer)
  }

  private func look(at name: BlockName, _ buffer: Buffer) throws(StoreError) -> Finding {
    switch try read(name, buffer) {
    case .missing: return .missing
    case .tooLong: return .bad("its object is longer than \(buffer.stored.count) bytes")
    case .stored(let stored):
      let place = UnsafeMutableRawBufferPointer(rebasing: buffer.plain[..<longest])
      switch buffer.codec.unpack(stored, as: name, atMost: place) {
      case .success(let content): return .good(length: content, stored: stored.count)
      case .failure(let flaw): return .bad(flaw.reason)
      }
    }
  }

  private enum Unpacked {
    case missing
    /// Not what it looks like, which need not be bad: a raw block may begin like a packed one.
    case flawed
    /// Not hashed yet; bytes unpacked, and as stored.
    case content(Int, stored: Int)
  }

  private func unpack(
    _ name: BlockName, into place: UnsafeMutableRawBufferPointer, _ buffer: Buffer
  ) throws(StoreError) -> Unpacked {
    switch try read(name, buffer) {
    case .missing: return .missing
    case .tooLong: return .flawed
    case .stored(let stored):
      do throws(CompressionError) {
        let length = try buffer.codec.unpack(stored, CompressionMethod.sniff(stored), into: place)
        return length > 0 ? .content(length, stored: stored.count) : .flawed
      } catch {
        return .flawed
      }
    }
  }

  private enum Object {
    case missing, tooLong
    /// Valid until the buffer's next use.
    case stored(UnsafeRawBufferPointer)
  }

  private func read(_ name: BlockName, _ buffer: Buffer) throws(StoreError) -> Object {
    let length: Int?
    do throws(StoreError) {
      length = try session.store.read(pool.block(name), into: buffer.stored, deadline: .usual)
    } catch  where error.code == .badBlock {
      return .tooLong
    }
    guard let length else { return .missing }
    try rate?.charge(length)
    return .stored(UnsafeRawBufferPointer(rebasing: buffer.stored[..<length]))
  }
}
