import CDroverPlugin

/// A device of the other side: what a filter has below it, or the source that a sink is fed from. It belongs to the
/// host, so `close` does nothing.
final class ForeignDevice: Device, @unchecked Sendable {
  // Sendable: both never change; which calls may run at once is the device's own promise.
  private let handle: UnsafeMutableRawPointer?
  private let ops: drover_device_ops

  init(_ device: drover_device) {
    handle = device.handle
    ops = device.ops.map { load($0) } ?? drover_device_ops()
  }

  func info() throws -> DeviceInfo {
    guard let function = ops.info else { throw lacks("info") }
    var info = drover_device_info()
    info.struct_size = MemoryLayout<drover_device_info>.size
    _ = try calling { function(handle, &info, $0) }
    return DeviceInfo(withUnsafePointer(to: info) { load($0) })
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    guard let function = ops.extents else { return [Extent(offset: offset, length: length, kind: .data)] }
    let capacity = 512
    return try withUnsafeTemporaryAllocation(of: drover_extent.self, capacity: capacity) { buffer in
      let count = try calling { function(handle, offset, length, buffer.baseAddress, UInt32(capacity), $0) }
      guard count >= 1, count <= capacity else { throw wrongExtents(offset, length) }
      var expected = offset
      return try buffer.prefix(Int(count)).map { extent in
        guard let kind = Extent.Kind(rawValue: extent.type), extent.offset == expected, extent.length > 0,
          extent.length <= offset + length - expected
        else { throw wrongExtents(offset, length) }
        expected += extent.length
        return Extent(offset: extent.offset, length: extent.length, kind: kind)
      }
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    guard let function = ops.pread else { throw lacks("pread") }
    let count = try calling { function(handle, buffer.baseAddress, UInt64(buffer.count), offset, $0) }
    guard count <= buffer.count else {
      throw StageError("internal", "a device answered \(count) bytes to a read of \(buffer.count)")
    }
    return Int(count)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    guard let function = ops.pwrite else { throw lacks("pwrite") }
    _ = try calling { function(handle, buffer.baseAddress, UInt64(buffer.count), offset, $0) }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    guard let function = ops.zero else { throw lacks("zero") }
    _ = try calling { function(handle, offset, length, $0) }
  }

  func trim(offset: UInt64, length: UInt64) throws {
    guard let function = ops.trim else { return }
    _ = try calling { function(handle, offset, length, $0) }
  }

  func flush() throws {
    guard let function = ops.flush else { return }
    _ = try calling { function(handle, $0) }
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    guard let function = ops.file_range else { return nil }
    var range = FileRange(descriptor: -1, offset: 0)
    do {
      _ = try calling { function(handle, offset, length, &range.descriptor, &range.offset, $0) }
    } catch let error as StageError where error.code == notOffered {
      return nil
    }
    return range
  }

  func checkpoint(offset: UInt64) throws -> [UInt8]? {
    guard let function = ops.checkpoint else { return nil }
    do {
      return try [UInt8](unsafeUninitializedCapacity: checkpointLimit) { buffer, used in
        let count = try calling { function(handle, offset, buffer.baseAddress, checkpointLimit, $0) }
        guard count <= checkpointLimit else { throw StageError("internal", "a checkpoint of \(count) bytes") }
        used = Int(count)
      }
    } catch let error as StageError where error.code == notOffered {
      return nil
    }
  }

  func commit(_ commit: Commit) throws {
    guard let function = ops.commit else { return }
    _ = try commit.withCStruct { commit in try calling { function(handle, commit, $0) } }
  }

  func control(verb: String, json: String) throws -> String {
    guard let function = ops.control else { throw lacks("control") }
    final class Reply { var json = "{}" }
    let reply = Reply()
    _ = try withExtendedLifetime(reply) {
      try calling { error in
        function(
          handle, verb, json,
          { context, json in
            guard let context, let json else { return }
            Unmanaged<Reply>.fromOpaque(context).takeUnretainedValue().json = String(cString: json)
          }, Unmanaged.passUnretained(reply).toOpaque(), error)
      }
    }
    return reply.json
  }

  private func lacks(_ call: String) -> StageError {
    StageError("not-supported", "the device on the other side does not offer \(call)")
  }

  private func wrongExtents(_ offset: UInt64, _ length: UInt64) -> StageError {
    StageError("internal", "a device described bytes \(offset) to \(offset + length) by extents that do not fit")
  }
}
