import DiskImage
import LinuxSystem
import StageKit

/// The bytes of an image file as they are. `info` says when it did not stay as it was.
final class ImageFileSource: Device {
  private let source: SourceFile
  private let dataSize: UInt64
  private let checksum: String?
  private let blockHashes: [UInt8]?

  init(_ source: SourceFile) throws {
    self.source = source
    dataSize = try Self.dataSize(source)
    checksum = try ImageSidecar.read(of: source.file.path)?.checksum(trustedFor: source.status)
    blockHashes = try checksum.flatMap {
      try BlockHashList.read(of: source.file.path, size: source.status.size, checksum: $0)?.hashes
    }
  }

  static func plan(_ source: SourceFile) throws -> Plan {
    Plan(size: source.status.size, dataSize: try dataSize(source), filePath: source.file.path)
  }

  private static func dataSize(_ source: SourceFile) throws -> UInt64 {
    try source.file.extents(offset: 0, length: source.status.size).reduce(0) { $0 + ($1.isData ? $1.length : 0) }
  }

  func info() throws -> DeviceInfo {
    try source.requireUnchanged()
    return DeviceInfo(
      size: source.stamp.size, dataSize: dataSize, blockPreferred: 2 << 20, flags: .imageFile,
      identity: source.stamp.text, sha512: checksum, blockHashes: blockHashes)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try source.file.extents(offset: offset, length: length, limit: 1024).map(Extent.init)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let count = try source.file.read(into: buffer, at: offset)
    guard count == buffer.count else { throw source.changed("it has become shorter") }
    return count
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    FileRange(descriptor: source.file.descriptor, offset: offset)
  }
}

extension Extent {
  init(_ extent: FileExtent) {
    self.init(offset: extent.offset, length: extent.length, kind: extent.isData ? .data : .zero)
  }
}
