import CDroverPlugin
import DroverModel

/// A device of the runner's as a plugin sees it: `lower` of a filter, `source` of a sink. Every call comes back here, so
/// that serialisation, checks and the tap hold for plugins too. The host keeps the device: `close` is a no-op, and
/// checkpoint and commit are its own business.
final class ExportedDevice: @unchecked Sendable {
  // Sendable: all that is behind the pointers is written by init only.
  let pointer: UnsafePointer<drover_device>
  private let device: any BlockDevice
  private let owner: String
  private let activity: Activity
  private let table: UnsafeMutablePointer<drover_device_ops>
  private let exported: UnsafeMutablePointer<drover_device>
  private let text: [UnsafeMutablePointer<CChar>?]

  /// - Parameters:
  ///   - owner: Name of the stage that gets it; a finished call counts as a sign of life of that stage.
  ///   - writable: Whether that stage may write it.
  init(_ device: any BlockDevice, for owner: String, writable: Bool, activity: Activity) {
    self.device = device
    self.owner = owner
    self.activity = activity
    text = [device.info.identity, device.info.sha512].map(Self.copy)
    table = .allocate(capacity: 1)
    table.initialize(to: Self.operations(writable ? device.calls : device.calls.subtracting([.write, .trim])))
    exported = .allocate(capacity: 1)
    exported.initialize(to: drover_device(struct_size: MemoryLayout<drover_device>.size, handle: nil, ops: table))
    pointer = UnsafePointer(exported)
    exported.pointee.handle = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    exported.deallocate()
    table.deallocate()
    for copy in text { copy?.deallocate() }
  }

  private static func copy(_ text: String?) -> UnsafeMutablePointer<CChar>? {
    text.map { text in
      let bytes = text.utf8CString
      let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
      _ = copy.initialize(fromContentsOf: bytes)
      return copy.baseAddress!
    }
  }

  private static func of(_ handle: UnsafeMutableRawPointer?) -> ExportedDevice {
    Unmanaged<ExportedDevice>.fromOpaque(handle!).takeUnretainedValue()
  }

  private func answer(_ error: UnsafeMutablePointer<drover_error>?, _ body: () throws -> Int64) -> Int64 {
    defer { activity.sign(owner) }
    do {
      return try body()
    } catch let thrown {
      error?.fill((thrown as? Fault) ?? Fault(.internalError, "\(thrown)"))
      return -1
    }
  }

  private func describe(_ info: UnsafeMutablePointer<drover_device_info>) {
    let own = device.info
    var filled = drover_device_info()
    filled.struct_size = min(structSize(UnsafePointer(info)), MemoryLayout<drover_device_info>.size)
    filled.size = own.size ?? .max
    filled.data_size = own.dataSize ?? own.size ?? .max
    filled.block_min = UInt32(own.blockMin)
    filled.block_preferred = UInt32(own.blockPreferred)
    filled.block_max = UInt32(own.blockMax)
    filled.flags = own.flags
    filled.identity = UnsafePointer(text[0])
    filled.sha512 = UnsafePointer(text[1])
    filled.block_hashes = own.blockHashes?.baseAddress?.assumingMemoryBound(to: UInt8.self)
    filled.block_hash_count = UInt64((own.blockHashes?.count ?? 0) / Int(DROVER_HASH_LENGTH))
    withUnsafeBytes(of: filled) { bytes in
      UnsafeMutableRawPointer(info).copyMemory(from: bytes.baseAddress!, byteCount: max(0, filled.struct_size))
    }
  }

  private static func operations(_ calls: DeviceCalls) -> drover_device_ops {
    var ops = drover_device_ops()
    ops.struct_size = MemoryLayout<drover_device_ops>.size
    ops.info = { handle, info, error in
      let this = ExportedDevice.of(handle)
      return Int32(
        this.answer(error) {
          if let info { this.describe(info) }
          return 0
        })
    }
    if calls.contains(.extents) {
      ops.extents = { handle, offset, length, extents, capacity, error in
        let this = ExportedDevice.of(handle)
        return this.answer(error) {
          guard let extents, capacity > 0 else { throw Fault(.invalid, "extents needs room for at least one") }
          let buffer = UnsafeMutableBufferPointer(start: extents, count: Int(capacity))
          return Int64(try this.device.extents(offset: offset, length: length, into: buffer))
        }
      }
    }
    if calls.contains(.read) {
      ops.pread = { handle, buffer, length, offset, error in
        let this = ExportedDevice.of(handle)
        return this.answer(error) {
          Int64(
            try this.device.read(
              into: UnsafeMutableRawBufferPointer(start: buffer, count: Int(length)), at: offset))
        }
      }
    }
    if calls.contains(.fileRange) {
      ops.file_range = { handle, offset, length, descriptor, place, error in
        let this = ExportedDevice.of(handle)
        return Int32(
          this.answer(error) {
            guard let found = try this.device.fileRange(offset: offset, length: length) else {
              throw Fault(.notOffered, "the bytes do not lie in a file as they are")
            }
            descriptor?.pointee = found.descriptor
            place?.pointee = found.offset
            return 0
          })
      }
    }
    if calls.contains(.write) { addWriting(&ops, calls) }
    ops.close = { _ in }
    return ops
  }

  private static func addWriting(_ ops: inout drover_device_ops, _ calls: DeviceCalls) {
    ops.pwrite = { handle, buffer, length, offset, error in
      let this = ExportedDevice.of(handle)
      return Int32(
        this.answer(error) {
          try this.device.write(UnsafeRawBufferPointer(start: buffer, count: Int(length)), at: offset)
          return 0
        })
    }
    ops.zero = { handle, offset, length, error in
      let this = ExportedDevice.of(handle)
      return Int32(
        this.answer(error) {
          try this.device.zero(offset: offset, length: length)
          return 0
        })
    }
    if calls.contains(.trim) {
      ops.trim = { handle, offset, length, error in
        let this = ExportedDevice.of(handle)
        return Int32(
          this.answer(error) {
            try this.device.trim(offset: offset, length: length)
            return 0
          })
      }
    }
    ops.flush = { handle, error in
      let this = ExportedDevice.of(handle)
      return Int32(
        this.answer(error) {
          try this.device.flush()
          return 0
        })
    }
  }
}
