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

  private let store: any ObjectStore
  private let pool: StorePool
  /// Longest block of the pool, in bytes.
  private let longest: Int
  private let free = Mutex<[Buffer]>([])

  /// What one thread needs.
  private final class Buffer: @unchecked Sendable {
    // Sendable: between leaving `free` and coming back it belongs to one thread.
    let codec = BlockCodec(maximumBlock: 4096)
    let plain: UnsafeMutableRawBufferPointer
    let stored: UnsafeMutableRawBufferPointer

    init(longest: Int) {
      plain = .allocate(byteCount: longest, alignment: 4096)
      stored = .allocate(byteCount: 2 * longest, alignment: 4096)
    }

    deinit {
      plain.deallocate()
      stored.deallocate()
    }
  }

  init(_ store: any ObjectStore, _ pool: StorePool, longest: Int) {
    self.store = store
    self.pool = pool
    self.longest = longest
  }

  /// One that is bad is read once more before it is called so. Throws what keeps the store from being read.
  func inspect(_ name: BlockName) throws(StoreError) -> Finding {
    let buffer = free.withLock { $0.popLast() } ?? Buffer(longest: longest)
    defer { free.withLock { $0.append(buffer) } }
    let first = try look(at: name, buffer)
    guard case .bad = first else { return first }
    return try look(at: name, buffer)
  }

  private func look(at name: BlockName, _ buffer: Buffer) throws(StoreError) -> Finding {
    let length: Int?
    do throws(StoreError) {
      length = try store.read(pool.block(name), into: buffer.stored, deadline: .usual)
    } catch  where error.code == .badBlock {
      return .bad("its object is longer than \(buffer.stored.count) bytes")
    }
    guard let length else { return .missing }
    let stored = UnsafeRawBufferPointer(rebasing: buffer.stored[..<length])
    switch buffer.codec.unpack(stored, as: name, atMost: buffer.plain) {
    case .success(let content): return .good(length: content, stored: length)
    case .failure(let flaw): return .bad(flaw.reason)
    }
  }
}
