import CDroverPlugin
import DroverModel
import Synchronization

/// What lies on the other side of the stage that is checked: a source or a sink in memory, behind the ABI like any
/// plugin's. It fails when it is told to.
final class ScratchStage: @unchecked Sendable {
  // Sendable: `loaded` is set by init only; the rest is constant or behind a lock.

  /// Fails from now on, once or for good.
  struct Failure: Sendable {
    /// Of the calls that can fail, counted from 1 over the whole life of the stage; nil: the next.
    var call: Int?
    var fault: Fault
  }

  struct State {
    var calls = 0
    var failure: Failure?
    /// The calls, for messages.
    var lastFailed: String?
    var disk: [UInt8] = []
    var committed: UInt64?
  }

  static let sourceName = "check-source"
  static let sinkName = "check-sink"

  let content: ScratchContent?
  let blockPreferred: UInt32
  let state = Mutex(State())
  private(set) var loaded: LoadedStage!
  private nonisolated(unsafe) let sha512: UnsafePointer<CChar>?

  /// - Parameter content: What is read from it; nil makes it a sink.
  init(content: ScratchContent?, blockPreferred: UInt32 = 0) throws {
    self.content = content
    self.blockPreferred = blockPreferred
    sha512 = content.map { Self.text($0.sha512) }
    // Loaded stages live as long as the process, so all of this is leaked on purpose, but for what is in memory.
    let table = UnsafeMutablePointer<drover_stage>.allocate(capacity: 1)
    var stage = drover_stage()
    stage.struct_size = MemoryLayout<drover_stage>.size
    stage.name = content == nil ? Self.sinkText : Self.sourceText
    stage.summary = stage.name
    stage.roles = content == nil ? DROVER_ROLE_SINK : DROVER_ROLE_SOURCE
    stage.threads = DROVER_THREADS_PARALLEL
    stage.device = UnsafePointer(Self.device)
    stage.context = Unmanaged.passRetained(self).toOpaque()
    stage.open = { stage, _, open, handle, error in
      ScratchStage.answer(error) {
        guard let stage, let handle, let own = stage.pointee.context else { throw Fault(.invalid, "no stage") }
        let this = Unmanaged<ScratchStage>.fromOpaque(own).takeUnretainedValue()
        try this.hit("open")
        if open?.pointee.checkpoint == nil { this.state.withLock { $0.disk = [] } }
        handle.pointee = own
      }
    }
    stage.discard = { stage, _, _, error in
      ScratchStage.answer(error) {
        guard let own = stage?.pointee.context else { return }
        let this = Unmanaged<ScratchStage>.fromOpaque(own).takeUnretainedValue()
        this.state.withLock { if $0.committed == nil { $0.disk = [] } }
      }
    }
    table.initialize(to: stage)
    loaded = try LoadedStage(plugin: "the check's own", descriptor: UnsafePointer(table))
  }

  /// Lets go of the bytes: nothing of it is used any more.
  func release() { state.withLock { $0.disk = [] } }

  var disk: [UInt8] { state.withLock { $0.disk } }
  var calls: Int { state.withLock { $0.calls } }

  func hit(_ call: String) throws {
    try state.withLock { state in
      state.calls += 1
      guard let failure = state.failure, failure.call == nil || failure.call == state.calls else { return }
      state.failure = nil
      state.lastFailed = call
      throw failure.fault
    }
  }

  // Written once, never freed.
  private nonisolated(unsafe) static let sourceText = text(sourceName)
  private nonisolated(unsafe) static let sinkText = text(sinkName)
  private nonisolated(unsafe) static let identity = text("the check's own")

  private static func text(_ text: String) -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8CString)
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    copy.initialize(from: bytes, count: bytes.count)
    return UnsafePointer(copy)
  }

  static func answer(_ error: UnsafeMutablePointer<drover_error>?, _ body: () throws -> Void) -> Int32 {
    count(error) {
      try body()
      return 0
    } < 0 ? -1 : 0
  }

  private static func count(_ error: UnsafeMutablePointer<drover_error>?, _ body: () throws -> Int64) -> Int64 {
    do { return try body() } catch let thrown {
      error?.fill((thrown as? Fault) ?? Fault(.internalError, "\(thrown)"))
      return -1
    }
  }

  private static func of(_ handle: UnsafeMutableRawPointer?) throws -> ScratchStage {
    guard let handle else { throw Fault(.invalid, "no handle") }
    return Unmanaged<ScratchStage>.fromOpaque(handle).takeUnretainedValue()
  }

  // MARK: The device

  private nonisolated(unsafe) static let device: UnsafeMutablePointer<drover_device_ops> = {
    let table = UnsafeMutablePointer<drover_device_ops>.allocate(capacity: 1)
    table.initialize(to: operations())
    return table
  }()

  private static func operations() -> drover_device_ops {
    var ops = drover_device_ops()
    ops.struct_size = MemoryLayout<drover_device_ops>.size
    ops.info = { handle, info, error in
      ScratchStage.answer(error) { if let info { try ScratchStage.of(handle).describe(&info.pointee) } }
    }
    ops.extents = { handle, offset, length, extents, capacity, error in
      ScratchStage.count(error) {
        let this = try ScratchStage.of(handle)
        try this.hit("extents")
        return this.extents(offset, length, UnsafeMutableBufferPointer(start: extents, count: Int(capacity)))
      }
    }
    ops.pread = { handle, buffer, length, offset, error in
      ScratchStage.count(error) {
        let this = try ScratchStage.of(handle)
        try this.hit("pread")
        try this.read(UnsafeMutableRawBufferPointer(start: buffer, count: Int(length)), Int(offset))
        return Int64(length)
      }
    }
    ops.pwrite = { handle, buffer, length, offset, error in
      ScratchStage.answer(error) {
        let this = try ScratchStage.of(handle)
        try this.hit("pwrite")
        try this.write(UnsafeRawBufferPointer(start: buffer, count: Int(length)), at: Int(offset))
      }
    }
    ops.zero = { handle, offset, length, error in
      ScratchStage.answer(error) {
        let this = try ScratchStage.of(handle)
        try this.hit("zero")
        try this.zero(Int(offset), Int(length))
      }
    }
    ops.flush = { handle, error in ScratchStage.answer(error) { try ScratchStage.of(handle).hit("flush") } }
    ops.checkpoint = { handle, _, token, _, error in
      ScratchStage.count(error) {
        try ScratchStage.of(handle).hit("checkpoint")
        token?.storeBytes(of: 7, as: UInt8.self)
        return 1
      }
    }
    ops.commit = { handle, commit, error in
      ScratchStage.answer(error) {
        let this = try ScratchStage.of(handle)
        try this.hit("commit")
        let size = commit?.pointee.size ?? 0
        try this.grow(to: Int(clamping: size))
        this.state.withLock {
          $0.disk.removeLast($0.disk.count - Int(size))
          $0.committed = size
        }
      }
    }
    ops.close = { _ in }
    return ops
  }

  private func describe(_ info: inout drover_device_info) throws {
    info.block_min = 1
    info.block_preferred = blockPreferred
    info.identity = Self.identity
    if let content {
      info.size = UInt64(content.bytes.count)
      info.data_size = content.extents.reduce(0) { $0 + ($1.type == DROVER_EXTENT_DATA ? $1.length : 0) }
      info.flags = DROVER_DEVICE_IMAGE_FILE
      info.sha512 = sha512
    } else {
      info.size = .max
      info.data_size = .max
      info.flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_STARTS_ZERO | DROVER_DEVICE_IMAGE_FILE
    }
  }

  private func extents(_ offset: UInt64, _ length: UInt64, _ room: UnsafeMutableBufferPointer<drover_extent>) -> Int64 {
    let all =
      content?.extents ?? [drover_extent(offset: 0, length: .max, type: DROVER_EXTENT_DATA, reserved: 0)]
    var count = 0
    for extent in all where count < room.count {
      let begin = max(extent.offset, offset)
      let end = min(extent.offset + extent.length, offset + length)
      guard begin < end else { continue }
      room[count] = drover_extent(offset: begin, length: end - begin, type: extent.type, reserved: 0)
      count += 1
    }
    return Int64(count)
  }

  private func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: Int) throws {
    func copy(_ bytes: [UInt8], padded: Bool) throws {
      guard padded || offset + buffer.count <= bytes.count else {
        throw Fault(.invalid, "\(buffer.count) bytes at \(offset) were asked for, of a device of \(bytes.count)")
      }
      let there = max(0, min(buffer.count, bytes.count - offset))
      if there > 0 { bytes[offset..<(offset + there)].withUnsafeBytes { buffer.copyMemory(from: $0) } }
      UnsafeMutableRawBufferPointer(rebasing: buffer[there...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
    if let content { return try copy(content.bytes, padded: false) }
    try state.withLock { try copy($0.disk, padded: true) }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    try grow(to: offset + bytes.count)
    state.withLock { state in
      state.disk[offset..<(offset + bytes.count)].withUnsafeMutableBytes { $0.copyMemory(from: bytes) }
    }
  }

  private func zero(_ offset: Int, _ length: Int) throws {
    try grow(to: offset + length)
    state.withLock { state in
      state.disk[offset..<(offset + length)].withUnsafeMutableBytes { bytes in
        _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  private func grow(to size: Int) throws {
    guard size <= Self.mostBytes else {
      throw Fault(.noSpace, "the check's sink holds at most \(Self.mostBytes) bytes")
    }
    state.withLock { state in
      if state.disk.count < size { state.disk += [UInt8](repeating: 0, count: size - state.disk.count) }
    }
  }

  static let mostBytes = 128 << 20
}
