import DiskImage
import LinuxSystem
import StageKit

/// The disk that a guest sees in a qcow2 file. The file must stay as it is while it is open: `info` says when it did not.
final class Qcow2Source: Device {
  private let source: SourceFile
  private let image: Qcow2Image
  private let dataSize: UInt64

  init(_ source: SourceFile) throws {
    self.source = source
    image = try Qcow2Image(source.file)
    dataSize = try image.dataSize()
  }

  static func plan(_ source: SourceFile) throws -> Plan {
    let image = try Qcow2Image(source.file)
    return Plan(size: image.size, dataSize: try image.dataSize())
  }

  func info() throws -> DeviceInfo {
    try source.requireUnchanged()
    return DeviceInfo(
      size: image.size, dataSize: dataSize, blockPreferred: 2 << 20, identity: "guest-\(source.stamp.text)")
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try blamingChange { try image.extents(offset: offset, length: length, limit: 256).map(Extent.init) }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    guard offset <= image.size, UInt64(buffer.count) <= image.size - offset else {
      throw StageError("internal", "a read of \(buffer.count) bytes at \(offset) of a disk of \(image.size)")
    }
    try blamingChange { try image.read(into: buffer, at: offset) }
    return buffer.count
  }

  /// What looks like damage may be another program that writes the file just now.
  private func blamingChange<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as Qcow2Error {
      try source.requireUnchanged()
      throw error
    }
  }
}
