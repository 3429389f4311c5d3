import CDroverPlugin
import DroverModel
import NBD
import Synchronization

/// A device of the runner's to NBD clients, read only, at any offset and in any length.
final class ServedDevice: NBDDevice {
  let size: UInt64
  let preferredBlock: UInt32
  private let device: any BlockDevice
  private let job: JobContext
  /// Offsets and lengths are multiples of it, but at the very end.
  private let unit: UInt64
  private let told = Mutex(0)

  /// So many failures are told to people; what a damaged store has beyond is more of the same.
  private static let mostTold = 50

  init(_ device: any BlockDevice, _ job: JobContext) throws(Fault) {
    guard let size = device.info.size, !device.info.isSequential, device.calls.contains(.read) else {
      throw Fault(.notSupported, "stage \(device.name) can't be served: it can't be read at any place")
    }
    self.device = device
    self.job = job
    self.size = size
    unit = device.info.blockMin
    guard unit <= 1 << 20 else {
      throw Fault(.notSupported, "stage \(device.name) can't be served: its blocks have \(unit) bytes")
    }
    // What clients take is a power of two of 32 MiB at most, and a good multiple of a page.
    var preferred: UInt32 = 4096
    while preferred < 2 << 20, UInt64(preferred) < device.info.blockPreferred { preferred *= 2 }
    preferredBlock = preferred
  }

  func extents(offset: UInt64, length: UInt64) throws -> [NBDExtent] {
    let begin = offset / unit * unit
    let end = min(size, offset + length)
    return try telling {
      try withUnsafeTemporaryAllocation(of: drover_extent.self, capacity: 128) { extents in
        let range = min(size, (end + unit - 1) / unit * unit) - begin
        let count = try device.extents(offset: begin, length: range, into: extents)
        var found: [NBDExtent] = []
        for extent in extents[..<count] {
          let from = max(extent.offset, offset)
          let to = min(extent.offset + extent.length, end)
          guard from < to else { continue }
          found.append(NBDExtent(offset: from, length: to - from, isHole: extent.type != DROVER_EXTENT_DATA))
        }
        return found
      }
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try telling {
      let begin = offset / unit * unit
      let end = min(size, (offset + UInt64(buffer.count) + unit - 1) / unit * unit)
      guard begin < offset || end > offset + UInt64(buffer.count) else {
        _ = try readPieces(device, into: buffer, at: offset, limit: device.info.blockMax)
        return
      }
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(end - begin), alignment: 4096)
      defer { room.deallocate() }
      _ = try readPieces(device, into: room, at: begin, limit: device.info.blockMax)
      let start = Int(offset - begin)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: room[start..<(start + buffer.count)]))
    }
  }

  /// A client only gets a number; the reason goes to whoever started this.
  private func telling<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch {
      let number = told.withLock { told in
        told += 1
        return told
      }
      if number <= Self.mostTold {
        let more = number == Self.mostTold ? "; further failures are not told" : ""
        job.log(.error, ((error as? Fault)?.message ?? "\(error)") + more)
      }
      throw NBDError.io
    }
  }
}
