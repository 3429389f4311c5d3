import CDroverPlugin
import DroverModel
import NBD

/// A device of the runner's to NBD clients, at any offset and in any length.
final class ServedDevice: NBDDevice {
  let size: UInt64
  let preferredBlock: UInt32
  let isWritable: Bool
  private let device: any BlockDevice
  private let troubles: ServedTroubles
  private let limit: UInt64

  /// - Parameter writable: The device was opened to be written.
  /// - Throws: Fault `not-supported` where it can't be served.
  init(_ device: any BlockDevice, writable: Bool = false, _ troubles: ServedTroubles) throws(Fault) {
    let anyRange = try AnyRangeDevice.over(device)
    guard !writable || device.calls.contains(.write) else {
      throw Fault(.notSupported, "stage \(device.name) can't be served to be written: it only reads")
    }
    self.device = anyRange
    self.troubles = troubles
    size = device.info.size ?? 0
    isWritable = writable
    limit = device.info.blockMax
    // What clients take is a power of two of 32 MiB at most, and a good multiple of a page.
    var preferred: UInt32 = 4096
    while preferred < 2 << 20, UInt64(preferred) < device.info.blockPreferred { preferred *= 2 }
    preferredBlock = preferred
  }

  func extents(offset: UInt64, length: UInt64) throws -> [NBDExtent] {
    try troubles.watching {
      try withUnsafeTemporaryAllocation(of: drover_extent.self, capacity: 128) { extents in
        let count = try device.extents(offset: offset, length: length, into: extents)
        return extents[..<count].map {
          NBDExtent(offset: $0.offset, length: $0.length, isHole: $0.type != DROVER_EXTENT_DATA)
        }
      }
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try troubles.watching { _ = try readPieces(device, into: buffer, at: offset, limit: limit) }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try troubles.watchingChange { try writePieces(buffer, at: offset) }
  }

  private func writePieces(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    let most = limit == 0 ? buffer.count : Int(limit)
    var done = 0
    while done < buffer.count {
      let end = min(done + most, buffer.count)
      try device.write(UnsafeRawBufferPointer(rebasing: buffer[done..<end]), at: offset + UInt64(done))
      done = end
    }
  }

  func zero(offset: UInt64, length: UInt64, keepingSpace: Bool) throws {
    try troubles.watchingChange {
      guard keepingSpace else { return try device.zero(offset: offset, length: length) }
      // Only bytes that are written have their space for sure.
      var done: UInt64 = 0
      while done < length {
        let count = min(UInt64(Zeros.page.count), length - done)
        try writePieces(UnsafeRawBufferPointer(rebasing: Zeros.page[..<Int(count)]), at: offset + done)
        done += count
      }
    }
  }

  func trim(offset: UInt64, length: UInt64) throws {
    guard device.calls.contains(.trim) else { return }
    try troubles.watchingChange { try device.trim(offset: offset, length: length) }
  }

  func flush() throws {
    guard isWritable else { return }
    try troubles.watchingFlush { try device.flush() }
  }
}
