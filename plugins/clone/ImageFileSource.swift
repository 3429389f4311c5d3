import DiskImage
import LinuxSystem
import StageKit

/// An image file, read. It must stay as it is while it is open: `info` says when it did not.
final class ImageFileSource: Device {
  private let file: OpenFile
  private let stamp: FileStamp
  private let dataSize: UInt64
  private let checksum: String?
  private let blockHashes: [UInt8]?

  init(_ params: SourceParams) throws {
    file = try Self.openImage(params.path)
    let status = try file.status()
    stamp = FileStamp(status)
    dataSize = try Self.dataSize(file)
    checksum = try ImageSidecar.read(of: params.path)?.checksum(trustedFor: status)
    blockHashes = try checksum.flatMap {
      try BlockHashList.read(of: params.path, size: status.size, checksum: $0)?.hashes
    }
  }

  static func plan(_ params: SourceParams) throws -> Plan {
    let file = try openImage(params.path)
    return Plan(size: try file.size(), dataSize: try dataSize(file), filePath: params.path)
  }

  /// A symbolic link is refused: its target can change hands between planning and opening.
  private static func openImage(_ path: String) throws -> OpenFile {
    guard let status = try FileStatus.of(path, followLinks: false) else {
      throw StageError("not-found", "there is no image file \(path)")
    }
    guard !status.isSymbolicLink else { throw StageError("invalid", "\(path) is a symbolic link, not an image file") }
    guard status.isRegular else { throw StageError("invalid", "\(path) is not a regular file") }
    let file = try OpenFile.open(path, .read, followLinks: false)
    guard try file.status().isRegular else { throw StageError("invalid", "\(path) is not a regular file") }
    return file
  }

  private static func dataSize(_ file: OpenFile) throws -> UInt64 {
    try file.extents(offset: 0, length: file.size()).reduce(0) { $0 + ($1.isData ? $1.length : 0) }
  }

  func info() throws -> DeviceInfo {
    let now = try FileStatus.of(file.path, followLinks: false)
    guard FileStamp(try file.status()) == stamp, now.map(FileStamp.init) == stamp else {
      throw changed("it was \(now == nil ? "removed" : "written, replaced or touched")")
    }
    return DeviceInfo(
      size: stamp.size, dataSize: dataSize, blockPreferred: 2 << 20, flags: .imageFile, identity: stamp.text,
      sha512: checksum, blockHashes: blockHashes)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try file.extents(offset: offset, length: length, limit: 1024).map {
      Extent(offset: $0.offset, length: $0.length, kind: $0.isData ? .data : .zero)
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let count = try file.read(into: buffer, at: offset)
    guard count == buffer.count else { throw changed("it has become shorter") }
    return count
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    FileRange(descriptor: file.descriptor, offset: offset)
  }

  private func changed(_ how: String) -> StageError {
    StageError(
      "source-changed", "\(file.path) is not what it was when it was opened: \(how)",
      hint: "leave the image alone while it is being read, and start the job again")
  }
}
