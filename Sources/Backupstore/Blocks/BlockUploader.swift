import Compression
import LinuxSystem

/// Brings blocks into a pool of a store, each content once, from many threads at once.
final class BlockUploader: Sendable {
  private let store: any ObjectStore
  private let pool: StorePool
  private let method: CompressionMethod
  private let buffers: BlockBuffers
  private let state: Monitor<State>

  private struct State {
    /// Seen in a listing, or written, under the current lock.
    var present: Set<BlockName>
    /// Seen or written before the lock was held; somebody may be deleting them. Nil from the listing under the lock on.
    var provisional: Set<BlockName>?
    var isUnderLock: Bool
    var inFlight: Set<BlockName> = []
    /// Seen in a listing, but to be written again all the same.
    var suspects: Set<BlockName> = []
    var uploadedBytes: UInt64
    var uploadedBlocks: UInt64 = 0
    var rewrittenBytes: UInt64 = 0
  }

  /// `present`: what the store was seen to have under the lock. `uploadedBytes`: what earlier attempts wrote.
  init(_ store: any ObjectStore, _ method: CompressionMethod, present: Set<BlockName>, uploadedBytes: UInt64) {
    self.store = store
    pool = .images
    self.method = method
    buffers = BlockBuffers()
    state = Monitor(State(present: present, isUnderLock: true, uploadedBytes: uploadedBytes))
  }

  /// Before the lock is held. `provisional`: what the store was seen to have.
  init(_ store: any ObjectStore, _ method: CompressionMethod, provisional: Set<BlockName>) {
    self.store = store
    pool = .images
    self.method = method
    buffers = BlockBuffers()
    state = Monitor(State(present: [], provisional: provisional, isUnderLock: false, uploadedBytes: 0))
  }

  /// Of a volume, under its lock. With `rewriting`, what is there is written once more.
  init(
    _ store: any ObjectStore, _ method: CompressionMethod, pool: StorePool, blockSize: UInt64, present: Set<BlockName>,
    rewriting: Bool
  ) {
    self.store = store
    self.pool = pool
    self.method = method
    buffers = BlockBuffers(blockSize: Int(blockSize))
    var first = State(present: rewriting ? [] : present, isUnderLock: true, uploadedBytes: 0)
    if rewriting { first.suspects = present }
    state = Monitor(first)
  }

  /// The lock is held: what is written to its end from now on stays.
  func lockIsHeld() { state.change { $0.isUnderLock = true } }

  /// What a listing under the lock has seen. Blocks from before it that are not among these are not present any more.
  func found(_ names: Set<BlockName>) {
    state.change { state in
      state.present.formUnion(names)
      state.provisional = nil
    }
  }

  /// Bytes of the objects that were written and not there before, packed.
  var uploadedBytes: UInt64 { state.withLock { $0.uploadedBytes } }
  /// How many those are.
  var uploadedBlocks: UInt64 { state.withLock { $0.uploadedBlocks } }
  /// Bytes of the objects that were written although they were there, packed.
  var rewrittenBytes: UInt64 { state.withLock { $0.rewrittenBytes } }

  func isPresent(_ name: BlockName) -> Bool { state.withLock { $0.present.contains(name) } }

  /// Returns when the block is in the store. One that another thread is writing is waited for; if that thread fails,
  /// this one writes it.
  func upload(_ block: UnsafeRawBufferPointer, as name: BlockName) throws(StoreError) {
    let isMine: Bool = state.wait { state in
      if state.present.contains(name) || state.provisional?.contains(name) == true { return false }
      return state.inFlight.insert(name).inserted ? true : nil
    }!
    guard isMine else { return }
    do throws(StoreError) {
      let count = try buffers.with { (buffer) throws(StoreError) in
        let packed = buffer.codec.pack(block, method)
        try store.write(pool.block(name), packed, deadline: .usual)
        return packed.count
      }
      state.change { state in
        state.inFlight.remove(name)
        if state.isUnderLock { state.present.insert(name) } else { state.provisional?.insert(name) }
        if state.suspects.contains(name) {
          state.rewrittenBytes += UInt64(count)
        } else {
          state.uploadedBytes += UInt64(count)
          state.uploadedBlocks += 1
        }
      }
    } catch {
      state.change { _ = $0.inFlight.remove(name) }
      throw error
    }
  }
}
