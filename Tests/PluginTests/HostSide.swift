import CDroverPlugin
import Glibc
import Synchronization
import Testing

/// What a plugin told its host about an error.
struct PluginFailure: Error {
  var retry: UInt32
  var systemError: Int32
  var domain: String
  var code: String
  var message: String
  var hint: String

  init(_ error: drover_error) {
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    retry = error.retry
    systemError = error.system_error
    domain = text(error.domain)
    code = text(error.code)
    message = text(error.message)
    hint = text(error.hint)
  }

  /// Calls a function of the ABI; throws what it filled in when it answers -1.
  static func check<Answer: BinaryInteger>(
    _ call: (UnsafeMutablePointer<drover_error>) -> Answer
  ) throws -> Answer {
    var error = drover_error()
    error.struct_size = MemoryLayout<drover_error>.size
    let answer = call(&error)
    guard answer >= 0 else { throw PluginFailure(error) }
    return answer
  }
}

/// A table of host functions that keeps what it is told. Never freed, as the header promises of a host's table.
final class HostTable: Sendable {
  let records = Mutex<[String]>([])
  let isCancelled = Mutex(false)
  nonisolated(unsafe) let pointer: UnsafeMutablePointer<drover_host>

  init() {
    pointer = .allocate(capacity: 1)
    pointer.initialize(to: drover_host())
    pointer.pointee = drover_host(
      struct_size: MemoryLayout<drover_host>.size, abi_major: DROVER_PLUGIN_ABI_MAJOR,
      abi_minor: DROVER_PLUGIN_ABI_MINOR, context: Unmanaged.passRetained(self).toOpaque(),
      log: { context, level, message in HostTable.of(context).note("log \(level)", message) },
      cancelled: { context in HostTable.of(context).isCancelled.withLock { $0 } ? 1 : 0 },
      emit: { context, kind, json in HostTable.of(context).note("emit \(String(cString: kind!))", json) },
      phase: { context, phase, detail in HostTable.of(context).note("phase \(String(cString: phase!))", detail) },
      progress: { context, done, total in HostTable.of(context).note("progress \(done) \(total)", nil) })
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> HostTable {
    Unmanaged<HostTable>.fromOpaque(context!).takeUnretainedValue()
  }

  private func note(_ what: String, _ text: UnsafePointer<CChar>?) {
    let text = text.map { " " + String(cString: $0) } ?? ""
    records.withLock { $0.append(what + text) }
  }
}

/// A stage as a host calls it: nothing but its C table.
struct HostedStage {
  let stage: UnsafePointer<drover_stage>
  let host: HostTable

  init(_ stage: UnsafePointer<drover_stage>, host: HostTable = HostTable()) {
    self.stage = stage
    self.host = host
  }

  var name: String { String(cString: stage.pointee.name) }

  func open(
    _ role: UInt32, _ params: String = "{}", lower: HostedDevice? = nil, source: HostedDevice? = nil,
    checkpoint: [UInt8]? = nil
  ) throws -> HostedDevice {
    let arguments = OpenArguments(role, params, lower: lower, source: source, checkpoint: checkpoint)
    var handle: UnsafeMutableRawPointer?
    _ = try PluginFailure.check { stage.pointee.open(stage, host.pointer, arguments.pointer, &handle, $0) }
    return HostedDevice(try #require(handle), ops: stage.pointee.device, arguments)
  }

  func plan(_ role: UInt32, _ params: String = "{}", below: drover_plan? = nil) throws -> drover_plan {
    let arguments = OpenArguments(role, params)
    var plan = drover_plan()
    plan.struct_size = MemoryLayout<drover_plan>.size
    _ = try PluginFailure.check { error in
      guard var below else {
        return stage.pointee.plan(stage, host.pointer, arguments.pointer, nil, &plan, error)
      }
      return stage.pointee.plan(stage, host.pointer, arguments.pointer, &below, &plan, error)
    }
    return plan
  }

  func run(_ params: String = "{}") throws {
    let arguments = OpenArguments(DROVER_ROLE_TASK, params)
    _ = try PluginFailure.check { stage.pointee.run(stage, host.pointer, arguments.pointer, $0) }
  }

  func discard(_ role: UInt32, _ params: String = "{}") throws {
    let arguments = OpenArguments(role, params)
    _ = try PluginFailure.check { stage.pointee.discard(stage, host.pointer, arguments.pointer, $0) }
  }
}

/// A `drover_open` and all that it points to, valid while this lives.
final class OpenArguments {
  let pointer: UnsafeMutablePointer<drover_open>
  private let strings: [UnsafeMutablePointer<CChar>]
  private let token: UnsafeMutableRawBufferPointer?
  private let devices: [HostedDevice?]

  init(
    _ role: UInt32, _ params: String = "{}", lower: HostedDevice? = nil, source: HostedDevice? = nil,
    checkpoint: [UInt8]? = nil
  ) {
    strings = [params, "job-7", "/nonexistent"].map { (text: String) in strdup(text)! }
    token = checkpoint.map { bytes in
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      buffer.copyBytes(from: bytes)
      return buffer
    }
    devices = [lower, source]
    pointer = .allocate(capacity: 1)
    pointer.initialize(to: drover_open())
    pointer.pointee.struct_size = MemoryLayout<drover_open>.size
    pointer.pointee.role = role
    pointer.pointee.writable = role == DROVER_ROLE_SINK ? 1 : 0
    pointer.pointee.params = UnsafePointer(strings[0])
    pointer.pointee.job = UnsafePointer(strings[1])
    pointer.pointee.job_folder = UnsafePointer(strings[2])
    pointer.pointee.attempt = 2
    pointer.pointee.concurrency = 4
    pointer.pointee.stall_seconds = 5
    pointer.pointee.checkpoint = UnsafeRawPointer(token?.baseAddress)
    pointer.pointee.checkpoint_length = token?.count ?? 0
    pointer.pointee.lower = lower.map { UnsafePointer($0.device) }
    pointer.pointee.source = source.map { UnsafePointer($0.device) }
  }

  deinit {
    for string in strings { free(string) }
    token?.deallocate()
    pointer.deallocate()
  }
}

/// An open device as a host calls it.
final class HostedDevice {
  let device: UnsafeMutablePointer<drover_device>
  private let arguments: OpenArguments
  private var isOpen = true
  private var handle: UnsafeMutableRawPointer { device.pointee.handle }
  private var ops: drover_device_ops { device.pointee.ops.pointee }

  init(_ handle: UnsafeMutableRawPointer, ops: UnsafePointer<drover_device_ops>, _ arguments: OpenArguments) {
    device = .allocate(capacity: 1)
    device.initialize(
      to: drover_device(struct_size: MemoryLayout<drover_device>.size, handle: handle, ops: ops))
    self.arguments = arguments
  }

  deinit {
    close()
    device.deallocate()
  }

  func close() {
    if isOpen { ops.close(handle) }
    isOpen = false
  }

  func info() throws -> drover_device_info {
    var info = drover_device_info()
    info.struct_size = MemoryLayout<drover_device_info>.size
    _ = try PluginFailure.check { ops.info(handle, &info, $0) }
    return info
  }

  func read(_ length: Int, at offset: UInt64 = 0) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: length)
    let count = try PluginFailure.check { ops.pread(handle, &bytes, UInt64(length), offset, $0) }
    return Array(bytes[..<Int(count)])
  }

  func write(_ bytes: [UInt8], at offset: UInt64 = 0) throws {
    _ = try PluginFailure.check { ops.pwrite(handle, bytes, UInt64(bytes.count), offset, $0) }
  }

  func zero(_ offset: UInt64, _ length: UInt64) throws {
    _ = try PluginFailure.check { ops.zero(handle, offset, length, $0) }
  }

  func flush() throws { _ = try PluginFailure.check { ops.flush(handle, $0) } }

  func extents(_ offset: UInt64, _ length: UInt64, capacity: Int = 16) throws -> [[UInt64]] {
    var extents = [drover_extent](repeating: drover_extent(), count: capacity)
    let count = try PluginFailure.check { ops.extents(handle, offset, length, &extents, UInt32(capacity), $0) }
    return extents[..<Int(count)].map { [$0.offset, $0.length, UInt64($0.type)] }
  }

  func fileRange(_ offset: UInt64, _ length: UInt64) throws -> (descriptor: Int32, offset: UInt64) {
    var descriptor: Int32 = -1
    var start: UInt64 = 0
    _ = try PluginFailure.check { ops.file_range(handle, offset, length, &descriptor, &start, $0) }
    return (descriptor, start)
  }

  func checkpoint(_ offset: UInt64, capacity: Int = 65536) throws -> [UInt8] {
    var token = [UInt8](repeating: 0, count: 65536)
    let count = try PluginFailure.check { ops.checkpoint(handle, offset, &token, capacity, $0) }
    return Array(token[..<Int(count)])
  }

  func commit(_ commit: inout drover_commit) throws {
    _ = try withUnsafePointer(to: commit) { commit in
      try PluginFailure.check { ops.commit(handle, commit, $0) }
    }
  }

  func control(_ verb: String, _ json: String) throws -> [String] {
    let replies = Replies()
    let context = Unmanaged.passUnretained(replies).toOpaque()
    _ = try PluginFailure.check { error in
      ops.control(
        handle, verb, json,
        { context, json in
          Unmanaged<Replies>.fromOpaque(context!).takeUnretainedValue().all.append(String(cString: json!))
        }, context, error)
    }
    return withExtendedLifetime(replies) { $0.all }
  }

  private final class Replies { var all: [String] = [] }
}
