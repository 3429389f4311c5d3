/// Which bytes of a disk are in which block of a store.
struct BlockMap: Sendable {
  /// Bytes of the disk.
  let size: UInt64
  /// Bytes of every block but the last one, which ends where the disk does.
  let blockSize: UInt64
  /// Ascending; each begins at a multiple of `blockSize` below `size`, no two at the same.
  let blocks: [BlockEntry]

  /// Bytes in blocks.
  var dataSize: UInt64 {
    guard let last = blocks.last else { return 0 }
    return UInt64(blocks.count - 1) * blockSize + UInt64(length(at: last.offset))
  }

  /// Bytes of the block at `offset`, which must lie on the disk.
  func length(at offset: UInt64) -> Int { Int(min(blockSize, size - offset)) }

  /// Index of the first block at or after `offset`.
  func firstBlock(from offset: UInt64) -> Int {
    var low = 0
    var high = blocks.count
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Index of the block that holds the byte at `offset`; nil where none does.
  func index(at offset: UInt64) -> Int? {
    let start = offset / blockSize * blockSize
    let index = firstBlock(from: start)
    return index < blocks.count && blocks[index].offset == start ? index : nil
  }

  /// Describes the range in order and without gaps; at most `limit` extents, so perhaps not to its end.
  func extents(offset: UInt64, length: UInt64, limit: Int) -> [StoredExtent] {
    let end = offset < size ? offset + min(length, size - offset) : offset
    var extents: [StoredExtent] = []
    var at = offset
    var index = firstBlock(from: offset / blockSize * blockSize)
    while at < end && extents.count < limit {
      let start = at
      let isData = index < blocks.count && blocks[index].offset <= at
      if isData {
        while index < blocks.count, blocks[index].offset <= at, at < end {
          let block = blocks[index].offset
          at = block + UInt64(self.length(at: block))
          index += 1
        }
      } else {
        at = index < blocks.count ? blocks[index].offset : end
      }
      at = min(at, end)
      extents.append(StoredExtent(offset: start, length: at - start, isData: isData))
    }
    return extents
  }
}
