import CDroverPlugin

/// An open device of a fake stage. Subclasses say what it holds; every call of the host goes by the script first.
class FakeDevice: @unchecked Sendable {
  // Sendable: tests set it up before the runner sees it; what changes later is behind locks of the subclasses.
  var script = Script()
  var size: UInt64 = .max
  var dataSize: UInt64 = .max
  var blockMin: UInt32 = 1
  var blockPreferred: UInt32 = 0
  var blockMax: UInt32 = 0
  var flags: UInt32 = 0
  var identity: String?
  var sha512: String?
  var blockHashes: [UInt8]?
  private var given: [UnsafeMutableRawPointer] = []

  deinit { given.forEach { $0.deallocate() } }

  func info(_ info: inout drover_device_info) throws {
    info.size = size
    info.data_size = dataSize
    info.block_min = blockMin
    info.block_preferred = blockPreferred
    info.block_max = blockMax
    info.flags = flags
    info.identity = identity.map { keep(Array($0.utf8) + [0]).assumingMemoryBound(to: CChar.self) }
    info.sha512 = sha512.map { keep(Array($0.utf8) + [0]).assumingMemoryBound(to: CChar.self) }
    info.block_hashes = blockHashes.map { keep($0).assumingMemoryBound(to: UInt8.self) }
    info.block_hash_count = UInt64((blockHashes?.count ?? 0) / Int(DROVER_HASH_LENGTH))
  }

  private func keep(_ bytes: [UInt8]) -> UnsafeRawPointer {
    let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
    copy.copyMemory(from: bytes, byteCount: bytes.count)
    given.append(copy)
    return UnsafeRawPointer(copy)
  }

  func extents(_ offset: UInt64, _ length: UInt64, _ room: UnsafeMutableBufferPointer<drover_extent>) throws -> Int64 {
    room[0] = drover_extent(offset: offset, length: length, type: DROVER_EXTENT_DATA, reserved: 0)
    return 1
  }
  func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 { throw FakeFailure() }
  func write(_ buffer: UnsafeRawBufferPointer, _ offset: UInt64) throws { throw FakeFailure() }
  func zero(_ offset: UInt64, _ length: UInt64) throws { throw FakeFailure() }
  func flush() throws {}
  func fileRange(_ offset: UInt64, _ length: UInt64) throws -> (descriptor: Int32, offset: UInt64) {
    throw FakeFailure(code: "not-offered", message: "no file")
  }
  func checkpoint(_ offset: UInt64) throws -> [UInt8] { throw FakeFailure(code: "not-offered", message: "never") }
  func commit(_ commit: drover_commit) throws {}
  func close() {}

  static func of(_ handle: UnsafeMutableRawPointer?) -> FakeDevice {
    Unmanaged<FakeDevice>.fromOpaque(handle!).takeUnretainedValue()
  }

  nonisolated(unsafe) static let operations: UnsafePointer<drover_device_ops> = {
    let table = UnsafeMutablePointer<drover_device_ops>.allocate(capacity: 1)
    table.initialize(to: makeOperations())
    return UnsafePointer(table)
  }()

  private static func makeOperations() -> drover_device_ops {
    var ops = drover_device_ops()
    ops.struct_size = MemoryLayout<drover_device_ops>.size
    ops.info = { handle, info, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("info")
          try device.info(&info!.pointee)
          return 0
        })
    }
    ops.extents = { handle, offset, length, extents, capacity, error in
      answer(error) {
        let device = FakeDevice.of(handle)
        try device.script.hit("extents")
        return try device.extents(offset, length, UnsafeMutableBufferPointer(start: extents, count: Int(capacity)))
      }
    }
    ops.pread = { handle, buffer, length, offset, error in
      answer(error) {
        let device = FakeDevice.of(handle)
        try device.script.hit("pread")
        return try device.read(UnsafeMutableRawBufferPointer(start: buffer, count: Int(length)), offset)
      }
    }
    ops.pwrite = { handle, buffer, length, offset, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("pwrite")
          try device.write(UnsafeRawBufferPointer(start: buffer, count: Int(length)), offset)
          return 0
        })
    }
    ops.zero = { handle, offset, length, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("zero")
          try device.zero(offset, length)
          return 0
        })
    }
    addRest(&ops)
    return ops
  }

  private static func addRest(_ ops: inout drover_device_ops) {
    ops.flush = { handle, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("flush")
          try device.flush()
          return 0
        })
    }
    ops.file_range = { handle, offset, length, descriptor, place, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("file_range")
          let found = try device.fileRange(offset, length)
          descriptor!.pointee = found.descriptor
          place!.pointee = found.offset
          return 0
        })
    }
    ops.checkpoint = { handle, offset, token, capacity, error in
      answer(error) {
        let device = FakeDevice.of(handle)
        try device.script.hit("checkpoint")
        let bytes = try device.checkpoint(offset)
        token!.copyMemory(from: bytes, byteCount: min(bytes.count, capacity))
        return Int64(bytes.count)
      }
    }
    ops.commit = { handle, commit, error in
      Int32(
        answer(error) {
          let device = FakeDevice.of(handle)
          try device.script.hit("commit")
          try device.commit(commit!.pointee)
          return 0
        })
    }
    ops.close = { handle in
      let device = Unmanaged<FakeDevice>.fromOpaque(handle!).takeRetainedValue()
      try? device.script.hit("close")
      device.close()
    }
  }
}
