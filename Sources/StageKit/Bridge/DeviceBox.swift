import CDroverPlugin
import Glibc
import Synchronization

/// An open Swift device behind a C handle: keeps it alive until close, and with it the strings that `info` gave out.
final class DeviceBox: Sendable {
  // Shared by the host's threads as `Stage.parallel` allows; the reference itself never changes.
  nonisolated(unsafe) let device: any Device
  private let domain: String
  private let given = Mutex<[GivenInfo]>([])

  init(_ device: any Device, domain: String) {
    self.device = device
    self.domain = domain
  }

  static func of(_ handle: UnsafeMutableRawPointer?) -> DeviceBox {
    Unmanaged<DeviceBox>.fromOpaque(handle!).takeUnretainedValue()
  }

  func answer(_ error: UnsafeMutablePointer<drover_error>?, _ body: (DeviceBox) throws -> Void) -> Int32 {
    answering(error, domain: domain) { try body(self) }
  }

  /// The struct to hand out. Its pointers live as long as this box; equal answers share them.
  func retain(_ info: DeviceInfo) -> drover_device_info {
    given.withLock { given in
      if let known = given.first(where: { $0.holds(info) }) { return known.cStruct(info) }
      let new = GivenInfo(info)
      given.append(new)
      return new.cStruct(info)
    }
  }

  /// Clips extents to the range and to the caller's array, and joins neighbours of one kind.
  static func copy(
    _ found: [Extent], offset: UInt64, length: UInt64, to array: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int {
    var count = 0
    var next = offset
    let end = offset.saturatingSum(length)
    for extent in found where extent.offset.saturatingSum(extent.length) > next && next < end {
      guard extent.offset <= next else { break }
      let stop = min(extent.offset.saturatingSum(extent.length), end)
      if count > 0, array[count - 1].type == extent.kind.rawValue {
        array[count - 1].length += stop - next
      } else {
        guard count < array.count else { break }
        array[count] = drover_extent(offset: next, length: stop - next, type: extent.kind.rawValue, reserved: 0)
        count += 1
      }
      next = stop
    }
    guard count > 0 else {
      throw StageError("internal", "the device does not describe bytes \(offset) to \(end) by its extents")
    }
    return count
  }
}

/// The memory behind the pointers of one `drover_device_info`.
private final class GivenInfo: @unchecked Sendable {
  // Sendable: written by init only.
  private let values: (identity: String?, sha512: String?, blockHashes: [UInt8]?)
  private let identity: UnsafeMutablePointer<CChar>?
  private let sha512: UnsafeMutablePointer<CChar>?
  private let hashes: UnsafeMutableBufferPointer<UInt8>?

  init(_ info: DeviceInfo) {
    values = (info.identity, info.sha512, info.blockHashes)
    identity = info.identity.map { strdup($0)! }
    sha512 = info.sha512.map { strdup($0)! }
    hashes = info.blockHashes.map { bytes in
      let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
      _ = buffer.update(from: bytes)
      return buffer
    }
  }

  deinit {
    free(identity)
    free(sha512)
    hashes?.deallocate()
  }

  func holds(_ info: DeviceInfo) -> Bool {
    values == (info.identity, info.sha512, info.blockHashes)
  }

  func cStruct(_ info: DeviceInfo) -> drover_device_info {
    drover_device_info(
      struct_size: MemoryLayout<drover_device_info>.size, size: info.size ?? .max,
      data_size: info.dataSize ?? info.size ?? .max, block_min: max(1, info.blockMin),
      block_preferred: info.blockPreferred, block_max: info.blockMax, flags: info.flags.rawValue,
      identity: UnsafePointer(identity), sha512: UnsafePointer(sha512),
      block_hashes: UnsafePointer(hashes?.baseAddress),
      block_hash_count: UInt64((values.blockHashes?.count ?? 0) / Int(DROVER_HASH_LENGTH)))
  }
}

extension UInt64 {
  fileprivate func saturatingSum(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
