import StageKit
import VolumeStore

/// A view of a volume as a device to read. Reads see the merged disk, whatever counts as data.
final class VolumeSource: Device {
  private let view: VolumeView
  private let isMerged: Bool
  let dataSize: UInt64

  init(_ view: VolumeView, isMerged: Bool) throws {
    self.view = view
    self.isMerged = isMerged
    var data: UInt64 = 0
    var at: UInt64 = 0
    while at < view.size {
      for extent in try Self.extents(view, isMerged, at, view.size - at) {
        if extent.kind == .data { data += extent.length }
        at = extent.offset + extent.length
      }
    }
    dataSize = data
  }

  var size: UInt64 { view.size }

  func info() throws -> DeviceInfo {
    try asStageError { try view.requireUnchanged() }
    return DeviceInfo(size: view.size, dataSize: dataSize, blockPreferred: 2 << 20, identity: view.identity)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try asStageError {
      try Self.extents(view, isMerged, offset, length).map {
        let kind: Extent.Kind =
          switch $0.kind {
          case .data: .data
          case .zero: .zero
          case .absent: .absent
          }
        return Extent(offset: $0.offset, length: $0.length, kind: kind)
      }
    }
  }

  private static func extents(
    _ view: VolumeView, _ isMerged: Bool, _ offset: UInt64, _ length: UInt64
  ) throws -> [VolumeView.Extent] {
    isMerged
      ? try view.mergedExtents(offset: offset, length: length) : try view.ownExtents(offset: offset, length: length)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try asStageError { try view.read(into: buffer, at: offset) }
    return buffer.count
  }
}
