import Backupstore
import Compression
import OpenSSL

@testable import Backupstore

/// Puts a volume with one backup into a store, as Longhorn would.
struct VolumeStore {
  var volume = VolumeConfig(name: "vol-demo", size: 0, compressionMethod: "lz4")
  var backup = VolumeBackupConfig(
    name: "backup-1", volumeName: "vol-demo", snapshotName: "snap", createdTime: "2026-01-06T02:00:31Z",
    compressionMethod: "lz4")

  /// - Parameters:
  ///   - blocks: Each filled with its byte; nil is left out.
  ///   - methods: What the blocks are stored with, in turn, whatever the config says.
  init(_ blocks: [UInt8?], blockSize: Int = 2 << 20, methods: [CompressionMethod] = [.lz4], in store: any ObjectStore)
    throws
  {
    volume.size = UInt64(blocks.count * blockSize)
    if blockSize != 2 << 20 { backup.parameters = ["backup-block-size": "\(blockSize)"] }
    let codec = BlockCodec(maximumBlock: blockSize)
    for (index, byte) in blocks.enumerated() {
      guard let byte else { continue }
      let block = Self.block(byte, blockSize)
      let name = block.withUnsafeBytes { BlockName(of: $0) }
      backup.blocks.append(BlockEntry(offset: UInt64(index * blockSize), name: name))
      try block.withUnsafeBytes { bytes in
        try store.write(
          path(name), codec.pack(bytes, methods[backup.blocks.count % methods.count]), deadline: .usual)
      }
    }
    backup.size = UInt64(backup.blocks.count * blockSize)
    volume.lastBackupName = backup.name
    volume.blockCount = UInt64(backup.blocks.count)
    try write(to: store)
  }

  /// The configs as they are now.
  func write(to store: any ObjectStore) throws {
    try store.write(StoreLayout.volumeConfig(volume.name), document: volume.encoded())
    try store.write(StoreLayout.volumeBackup(backup.name, of: volume.name), document: backup.encoded())
  }

  func path(_ block: BlockName) -> String { BlockPool.volume(volume.name, blockSize: backup.blockSize).path(of: block) }

  /// Not the same byte all over, so that a wrong place shows.
  static func block(_ byte: UInt8, _ size: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      for index in 0..<size { buffer[index] = index % 4096 == 0 ? UInt8(truncatingIfNeeded: index >> 12) : byte }
      count = size
    }
  }
}

extension VolumeRestore {
  func all() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xff, count: Int(size))
    try bytes.withUnsafeMutableBytes { try read(into: $0, at: 0) }
    return bytes
  }
}

extension Workbench {
  func open(_ volume: VolumeStore, _ options: ReadOptions = ReadOptions()) throws -> VolumeRestore {
    try VolumeRestore.open(
      VolumeBackupURL(target: target, volume: volume.volume.name, backup: volume.backup.name), session, options)
  }
}
