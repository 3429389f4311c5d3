import Backupstore

/// Stands for a backing image that can't be had at all: zeros, of which each range that somebody reads is told to be lost.
final class LostView: DiskView {
  let size: UInt64
  private let reason: String
  private let damage: DamageRecord

  init(size: UInt64, reason: String, damage: DamageRecord) {
    self.size = size
    self.reason = reason
    self.damage = damage
  }

  var dataSize: UInt64? { 0 }
  var blockSize: UInt64 { ImageConfig.blockSize }
  var identity: String { "lost" }

  /// Data, so that it is read, and told.
  func extents(offset: UInt64, length: UInt64) -> [StoredExtent] {
    [StoredExtent(offset: offset, length: length, isData: true)]
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    damage.add(Loss(offset: offset, length: UInt64(buffer.count), block: "", reason: reason))
  }

  func close() {}
}
