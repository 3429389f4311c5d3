import LinuxSystem

/// Unpacked blocks of one disk, kept in bounded memory by their content's name, and read ahead where somebody reads on.
/// From many threads at once: a block that one thread is reading is waited for by the others.
final class BlockCache: Sendable {
  private let reader: BlockReader
  private let map: BlockMap
  /// Most blocks that are kept.
  private let capacity: Int
  /// How many blocks are read before anybody asks for them.
  private let ahead: Int
  private let state: Monitor<State>

  private struct State {
    var blocks: [Key: Slot] = [:]
    var uses: UInt64 = 0
    /// Indices of blocks to read ahead, oldest first.
    var wanted: [Int] = []
    var helpers = 0
    var isClosed = false
  }

  /// A config may name one content for blocks of two lengths, of which one is a lie.
  private struct Key: Hashable {
    var name: BlockName
    var length: Int
  }

  private struct Slot {
    /// Nil while it is being read.
    var block: CachedBlock?
    var lastUse: UInt64
  }

  private static let mostHelpers = 3

  init(_ reader: BlockReader, _ map: BlockMap, capacity bytes: Int) {
    self.reader = reader
    self.map = map
    capacity = max(4, bytes / Int(map.blockSize))
    ahead = max(1, min(6, capacity / 4))
    state = Monitor(State())
  }

  /// Reads from `start` on within the block of this index.
  func read(_ index: Int, from start: Int, into output: UnsafeMutableRawBufferPointer) throws(StoreError) {
    let block = try block(index)
    readAhead(behind: index)
    output.copyMemory(from: UnsafeRawBufferPointer(rebasing: block.bytes[start..<(start + output.count)]))
  }

  private func block(_ index: Int) throws(StoreError) -> CachedBlock {
    let key = key(index)
    // Nil: it is this thread's to read.
    let known: CachedBlock? = state.wait { state -> CachedBlock?? in
      state.uses += 1
      guard let slot = state.blocks[key] else {
        state.blocks[key] = Slot(block: nil, lastUse: state.uses)
        return .some(nil)
      }
      guard let block = slot.block else { return nil }
      state.blocks[key]?.lastUse = state.uses
      return .some(block)
    }
    if let known { return known }
    return try load(index)
  }

  private func key(_ index: Int) -> Key {
    Key(name: map.blocks[index].name, length: map.length(at: map.blocks[index].offset))
  }

  /// The slot is there and empty. Whoever waits for it looks again afterwards, and reads for itself where this failed.
  private func load(_ index: Int) throws(StoreError) -> CachedBlock {
    let key = key(index)
    let block = CachedBlock(byteCount: key.length)
    do throws(StoreError) {
      try reader.read(map.blocks[index], into: block.bytes)
    } catch {
      state.change { _ = $0.blocks.removeValue(forKey: key) }
      throw error
    }
    state.change { state in
      state.blocks[key]?.block = block
      while state.blocks.count > capacity {
        let oldest = state.blocks.filter { $0.value.block != nil && $0.key != key }
          .min { $0.value.lastUse < $1.value.lastUse }
        guard let oldest else { break }
        state.blocks[oldest.key] = nil
      }
    }
    return block
  }

  /// Somebody who has read the block before this one, too, will want the next ones.
  private func readAhead(behind index: Int) {
    guard index > 0 else { return }
    let previous = key(index - 1)
    let needsHelper = state.change { state in
      guard !state.isClosed, state.blocks[previous] != nil else { return false }
      for next in (index + 1)..<min(index + 1 + ahead, max(index + 1, map.blocks.count))
      where state.blocks[key(next)] == nil && !state.wanted.contains(next) {
        state.wanted.append(next)
      }
      if state.wanted.count > 2 * ahead { state.wanted.removeFirst(state.wanted.count - 2 * ahead) }
      guard state.helpers < min(Self.mostHelpers, state.wanted.count) else { return false }
      state.helpers += 1
      return true
    }
    guard needsHelper else { return }
    do throws(SystemError) {
      try SystemThread.start("read ahead") { [self] in help() }
    } catch {
      state.change { $0.helpers -= 1 }
    }
  }

  private func help() {
    while let index = next() {
      // What fails here is told to whoever asks for it.
      _ = try? load(index)
    }
  }

  /// Nil: the thread is to end.
  private func next() -> Int? {
    state.change { state in
      while !state.isClosed, !state.wanted.isEmpty {
        let index = state.wanted.removeFirst()
        guard state.blocks[key(index)] == nil else { continue }
        state.uses += 1
        state.blocks[key(index)] = Slot(block: nil, lastUse: state.uses)
        return index
      }
      state.helpers -= 1
      return nil
    }
  }

  /// Returns when no thread reads ahead any more.
  func close() {
    state.change { $0.isClosed = true }
    _ = state.wait { $0.helpers == 0 ? true : nil }
  }
}

/// One block's bytes; never changed once others see them.
private final class CachedBlock: @unchecked Sendable {
  // Sendable: filled by the thread that made it, before it is put where others find it.
  let bytes: UnsafeMutableRawBufferPointer
  init(byteCount: Int) { bytes = .allocate(byteCount: byteCount, alignment: 4096) }
  deinit { bytes.deallocate() }
}
