import Compression

/// Reads blocks of a backup: whatever method they were stored with, and never one whose content is not what its name
/// says.
final class BlockReader: Sendable {
  private let store: any ObjectStore
  private let pool: BlockPool
  private let buffers: BlockBuffers

  init(_ store: any ObjectStore, _ pool: BlockPool) {
    self.store = store
    self.pool = pool
    buffers = BlockBuffers(blockSize: pool.blockSize)
  }

  /// Of images; `image` is for errors.
  convenience init(_ store: any ObjectStore, image: String) { self.init(store, .images(reading: image)) }

  /// Unpacks the block into `output`, which is as long as the block must be. Throws `missing-block` or `bad-block` with
  /// the block's name and `offset`, its place in what was backed up.
  func read(_ entry: BlockEntry, into output: UnsafeMutableRawBufferPointer) throws(StoreError) {
    try buffers.with { (buffer) throws(StoreError) in try read(entry, into: output, buffer) }
  }

  /// Reads `output.count` bytes from `start` on within the block of `length` bytes.
  func read(
    _ entry: BlockEntry, length: Int, from start: Int, into output: UnsafeMutableRawBufferPointer
  ) throws(StoreError) {
    if start == 0 && output.count == length { return try read(entry, into: output) }
    try buffers.with { (buffer) throws(StoreError) in
      try read(entry, into: UnsafeMutableRawBufferPointer(rebasing: buffer.plain[..<length]), buffer)
      output.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer.plain[start..<(start + output.count)]))
    }
  }

  /// Reads neighbouring blocks, which `output` consists of, and checks them together, which is cheaper. Throws as `read` does.
  func read(_ entries: ArraySlice<BlockEntry>, into output: UnsafeMutableRawBufferPointer) throws(StoreError) {
    let size = pool.blockSize
    try buffers.with { (buffer) throws(StoreError) in
      func place(_ index: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: output[(index * size)..<min((index + 1) * size, output.count)])
      }
      var isUnpacked: [Bool] = []
      for (index, entry) in entries.enumerated() {
        isUnpacked.append(try unpackUnchecked(entry, into: place(index), buffer))
      }
      let names = BlockName.names(of: UnsafeRawBufferPointer(output), block: size)
      for (index, entry) in entries.enumerated() where !isUnpacked[index] || names[index] != entry.name {
        // What was read by itself is looked at more closely, and says what is wrong.
        try read(entry, into: place(index), buffer)
      }
    }
  }

  /// False, with anything in `output`, for what can't be unpacked to its end.
  private func unpackUnchecked(
    _ entry: BlockEntry, into output: UnsafeMutableRawBufferPointer, _ buffer: BlockBuffer
  ) throws(StoreError) -> Bool {
    let length: Int?
    do throws(StoreError) {
      length = try store.read(pool.path(of: entry.name), into: buffer.stored, deadline: .usual)
    } catch  where error.code == .badBlock {
      return false
    }
    guard let length else { throw missing(entry) }
    let stored = UnsafeRawBufferPointer(rebasing: buffer.stored[..<length])
    return (try? buffer.codec.unpack(stored, CompressionMethod.sniff(stored), into: output)) == output.count
  }

  private func read(
    _ entry: BlockEntry, into output: UnsafeMutableRawBufferPointer, _ buffer: BlockBuffer
  ) throws(StoreError) {
    let path = pool.path(of: entry.name)
    // Once more when it is bad: what was damaged on the way, or replaced in between, comes right.
    for attempt in 1...2 {
      let length: Int?
      do throws(StoreError) {
        length = try store.read(path, into: buffer.stored, deadline: .usual)
      } catch  where error.code == .badBlock {
        throw bad(entry, error.message)
      }
      guard let length else { throw missing(entry) }
      let stored = UnsafeRawBufferPointer(rebasing: buffer.stored[..<length])
      guard let reason = buffer.codec.unpack(stored, as: entry.name, into: output) else { return }
      if attempt == 2 { throw bad(entry, reason) }
    }
  }

  private func missing(_ entry: BlockEntry) -> StoreError {
    loss(
      .missingBlock, entry, "is missing in \(store.url)",
      hint: "back it up again from a host that still has it, and the missing blocks are uploaded")
  }

  private func bad(_ entry: BlockEntry, _ reason: String) -> StoreError {
    loss(
      .badBlock, entry, "in \(store.url) is bad: \(reason)",
      hint: "remove \(pool.path(of: entry.name)) there, then back it up again from a good copy")
  }

  private func loss(_ code: StoreError.Code, _ entry: BlockEntry, _ how: String, hint: String) -> StoreError {
    let block = "block \(entry.name) at offset \(entry.offset) of \(pool.owner)"
    var error = StoreError(code, "\(block) \(how)", hint: hint)
    error.block = "\(entry.name)"
    return error
  }
}
