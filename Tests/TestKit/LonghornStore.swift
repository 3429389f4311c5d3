import Compression
import Foundation
import LinuxSystem

/// The stores that Longhorn's own library wrote. Source: Tests/BackupstoreTests/Fixtures/longhorn-backupstore/README.md.
public enum LonghornStore {
  public static let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../BackupstoreTests/Fixtures/longhorn-backupstore").standardizedFileURL.path()

  /// Copies the store of that method (lz4, gzip, none) into `folder`, where it may be changed.
  public static func copy(_ method: String, to folder: String) throws {
    let store = "\(folder)/backupstore"
    try FileManager.default.copyItem(atPath: "\(fixtures)/\(method)/backupstore", toPath: store)
    for name in [""] + (FileManager.default.subpaths(atPath: store) ?? []) {
      let path = name.isEmpty ? store : "\(store)/\(name)"
      guard let mode = try FileStatus.of(path)?.permissions else { continue }
      try FileManager.default.setAttributes([.posixPermissions: mode | 0o200], ofItemAtPath: path)
    }
    if method == "none" { try unpackBlocks(into: store) }
  }

  /// An unpacked block is its content, so those of `none` are made of those of `lz4` and not kept a second time.
  private static func unpackBlocks(into store: String) throws {
    let packed = "\(fixtures)/lz4/backupstore"
    let longest = 2 << 20
    let codec = BlockCodec(maximumBlock: longest)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: longest, alignment: 4096)
    defer { block.deallocate() }
    for name in FileManager.default.subpaths(atPath: packed) ?? [] where name.hasSuffix(".blk") {
      let bytes = try Folder.readFile("\(packed)/\(name)", limit: 2 * longest)
      let length = try bytes.withUnsafeBytes { try codec.unpack($0, .lz4, into: block) }
      try FileManager.default.createDirectory(
        atPath: "\(store)/\(name.split(separator: "/").dropLast().joined(separator: "/"))",
        withIntermediateDirectories: true)
      try Folder.writeDurably("\(store)/\(name)", Array(UnsafeRawBufferPointer(rebasing: block[..<length])))
    }
  }
}
