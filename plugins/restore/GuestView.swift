import Backupstore
import DiskImage
import LinuxSystem

/// The disk that a guest sees in a backed-up qcow2 image.
final class GuestView: DiskView {
  private let restore: ImageRestore
  private let image: Qcow2Image
  private let damage: DamageRecord?

  /// What is tried by itself where a longer read meets a lost block: a qcow2 cluster, as they usually are.
  private static let step: UInt64 = 64 << 10

  /// - Parameters:
  ///   - restore: Of a file that begins as qcow2 does; opened without `onLoss`. It is closed with the view, but not where
  ///     this throws.
  ///   - damage: Where lost ranges of the guest's disk are told; nil: they are errors.
  init(_ restore: ImageRestore, damage: DamageRecord?) throws {
    self.restore = restore
    self.damage = damage
    image = try Qcow2Image(StoredImage(restore))
  }

  var size: UInt64 { image.size }
  /// That would take reading all tables.
  var dataSize: UInt64? { nil }
  var blockSize: UInt64 { ImageConfig.blockSize }
  var identity: String { "guest-\(restore.identity)" }

  func extents(offset: UInt64, length: UInt64) throws -> [StoredExtent] {
    do {
      return try image.extents(offset: offset, length: length, limit: 256).map {
        StoredExtent(offset: $0.offset, length: $0.length, isData: $0.isData)
      }
    } catch let error as StoreError where error.isLoss && damage != nil {
      // Which part of the range the lost table is about shows when it is read.
      return [StoredExtent(offset: offset, length: min(length, blockSize), isData: true)]
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    do {
      try image.read(into: buffer, at: offset)
    } catch let error as StoreError where error.isLoss {
      guard let damage else { throw error }
      try salvage(buffer, offset, damage)
    }
  }

  private func salvage(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64, _ damage: DamageRecord) throws {
    var done = 0
    while done < buffer.count {
      let at = offset + UInt64(done)
      let length = min(Self.step - at % Self.step, UInt64(buffer.count - done))
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + Int(length))])
      do {
        try image.read(into: piece, at: at)
      } catch let error as StoreError where error.isLoss {
        piece.initializeMemory(as: UInt8.self, repeating: 0)
        damage.add(
          Loss(
            offset: at, length: length, block: error.block ?? "",
            reason: error.code == .missingBlock ? "missing" : "bad"))
      }
      done += Int(length)
    }
  }

  func close() { restore.close() }
}
