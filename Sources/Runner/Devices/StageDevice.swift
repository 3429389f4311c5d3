import CDroverPlugin
import DroverModel
import Glibc
import LinuxSystem
import Synchronization

/// The open device of a stage. Serialises calls where the stage wants it, and believes no answer that it can check.
final class StageDevice: BlockDevice, @unchecked Sendable {
  // Sendable: the handle is used as the stage's thread model allows; `isOpen` and `info` change only while no other
  // call runs, as the ABI demands of the host.
  let stage: LoadedStage
  let calls: DeviceCalls
  private(set) var info = DeviceInfo()
  private let handle: UnsafeMutableRawPointer?
  private let arguments: OpenArguments
  private let activity: Activity
  private let oneAtATime = Mutex(())
  private var isOpen = true

  var name: String { stage.name }
  private var ops: drover_device_ops { stage.device }

  /// Opens the stage and asks for its info. What an earlier attempt left is the stage's business.
  static func open(_ stage: LoadedStage, _ arguments: OpenArguments, _ job: JobContext) throws -> StageDevice {
    let host = HostTable.make(stage: stage, job: job)
    var handle: UnsafeMutableRawPointer?
    try stage.status("open", job.activity) { error in
      stage.functions.open!(stage.descriptor, host, arguments.pointer, &handle, error)
    }
    let device = StageDevice(stage, handle, arguments, job.activity)
    do {
      try device.refreshInfo()
    } catch {
      device.close()
      throw error
    }
    return device
  }

  private init(
    _ stage: LoadedStage, _ handle: UnsafeMutableRawPointer?, _ arguments: OpenArguments, _ activity: Activity
  ) {
    self.stage = stage
    self.handle = handle
    self.arguments = arguments
    self.activity = activity
    let ops = stage.device
    var calls: DeviceCalls = []
    if ops.extents != nil { calls.insert(.extents) }
    if ops.pread != nil { calls.insert(.read) }
    if ops.pwrite != nil { calls.insert(.write) }
    if ops.file_range != nil { calls.insert(.fileRange) }
    if ops.checkpoint != nil { calls.insert(.checkpoint) }
    if ops.trim != nil { calls.insert(.trim) }
    self.calls = calls
  }

  /// Only while no other call runs: after open, between copying and commit, after commit.
  func refreshInfo() throws {
    var raw = drover_device_info()
    raw.struct_size = MemoryLayout<drover_device_info>.size
    try call("info") { ops.info!(handle, &raw, $0) }
    info = try DeviceInfo(raw, of: stage, writable: arguments.isWritable)
  }

  /// One call at a time where the stage wants that.
  private func inTurn<R>(_ body: () throws -> R) rethrows -> R {
    guard stage.isParallel, !info.isSequential else { return try oneAtATime.withLock { _ in try body() } }
    return try body()
  }

  private func call(_ name: String, _ function: (UnsafeMutablePointer<drover_error>) -> Int32) throws {
    try inTurn { try stage.status(name, activity, function) }
  }

  private func count(_ name: String, _ function: (UnsafeMutablePointer<drover_error>) -> Int64) throws -> Int64 {
    try inTurn { try stage.count(name, activity, function) }
  }

  private func lie(_ call: String, _ what: String) -> Fault { .misbehaved(stage, call, what) }

  private func lacks(_ call: String) -> Fault {
    Fault(.notSupported, "stage \(name) of plugin \(stage.plugin) does not offer \(call)")
  }

  func extents(
    offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int {
    guard let function = ops.extents else {
      extents[0] = drover_extent(offset: offset, length: length, type: DROVER_EXTENT_DATA, reserved: 0)
      return 1
    }
    let count = try count("extents") {
      function(handle, offset, length, extents.baseAddress, UInt32(extents.count), $0)
    }
    let asked = "for \(length) bytes at \(offset)"
    guard (1...Int64(extents.count)).contains(count) else {
      throw lie("extents", "answered \(count) extents \(asked), allowed are 1 to \(extents.count)")
    }
    var expected = offset
    let end = offset + length
    for extent in extents[..<Int(count)] {
      guard extent.type <= DROVER_EXTENT_ABSENT else {
        throw lie("extents", "an extent at \(extent.offset) has the unknown type \(extent.type)")
      }
      guard extent.offset == expected else {
        throw lie("extents", "\(asked) an extent begins at \(extent.offset) where \(expected) follows")
      }
      guard extent.length > 0, extent.length <= end - expected else {
        throw lie("extents", "\(asked) the extent at \(extent.offset) has a length of \(extent.length)")
      }
      expected += extent.length
    }
    return Int(count)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    guard let function = ops.pread else { throw lacks("pread") }
    let count = try count("pread") { function(handle, buffer.baseAddress, UInt64(buffer.count), offset, $0) }
    guard count <= buffer.count else {
      throw lie("pread", "answered \(count) bytes where \(buffer.count) were asked for at \(offset)")
    }
    guard count == buffer.count || (info.isSequential && info.size == nil) else {
      throw lie("pread", "answered \(count) bytes where \(buffer.count) were asked for at \(offset)")
    }
    return Int(count)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    guard let function = ops.pwrite else { throw lacks("pwrite") }
    try call("pwrite") { function(handle, buffer.baseAddress, UInt64(buffer.count), offset, $0) }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    guard let function = ops.zero else { throw lacks("zero") }
    try call("zero") { function(handle, offset, length, $0) }
  }

  func trim(offset: UInt64, length: UInt64) throws {
    guard let function = ops.trim else { return }
    try call("trim") { function(handle, offset, length, $0) }
  }

  func flush() throws {
    guard let function = ops.flush else { return }
    try call("flush") { function(handle, $0) }
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? {
    guard let function = ops.file_range else { return nil }
    var place = FilePlace(descriptor: -1, offset: 0)
    do {
      try call("file_range") { function(handle, offset, length, &place.descriptor, &place.offset, $0) }
    } catch let fault as Fault where fault.code == .notOffered {
      return nil
    }
    try check(place, length)
    return place
  }

  /// The kernel will read or write there, so it must be a file, and open for that.
  private func check(_ place: FilePlace, _ length: UInt64) throws {
    func refuse(_ what: String) -> Fault { lie("file_range", "descriptor \(place.descriptor) \(what)") }
    let flags = place.descriptor > 2 ? fcntl(place.descriptor, F_GETFL) : -1
    guard flags >= 0, let status = try? FileStatus.of(descriptor: place.descriptor) else {
      throw refuse("is not open or not the device's own")
    }
    guard status.isRegular || status.isBlockDevice else { throw refuse("is no file") }
    let way = flags & O_ACCMODE
    guard arguments.isWritable ? way != O_RDONLY : way != O_WRONLY else {
      throw refuse("is not open for \(arguments.isWritable ? "writing" : "reading")")
    }
    let (end, isTooFar) = place.offset.addingReportingOverflow(length)
    guard !isTooFar, end <= UInt64(Int64.max) else { throw refuse("has no place at \(place.offset)") }
  }

  /// Nil: it takes no commands at all.
  /// - Parameter json: One object; the answer as well.
  func control(_ verb: String, json: String) throws -> String? {
    guard let function = ops.control else { return nil }
    final class Reply { var json: String? }
    let reply = Reply()
    try withExtendedLifetime(reply) {
      try call("control") { error in
        function(
          handle, verb, json,
          { context, json in
            guard let context else { return }
            Unmanaged<Reply>.fromOpaque(context).takeUnretainedValue().json = String(plugin: json, limit: 8 << 20)
          }, Unmanaged.passUnretained(reply).toOpaque(), error)
      }
    }
    guard let answer = reply.json else { throw lie("control", "answered \(verb) without a reply") }
    return answer
  }

  /// A token for everything below `offset`, which was flushed. Nil: a copy can't be continued.
  func checkpoint(offset: UInt64) throws -> [UInt8]? {
    guard let function = ops.checkpoint else { return nil }
    let capacity = 65536
    do {
      return try [UInt8](unsafeUninitializedCapacity: capacity) { token, used in
        let count = try count("checkpoint") { function(handle, offset, token.baseAddress, capacity, $0) }
        guard count <= capacity else { throw lie("checkpoint", "answered a token of \(count) bytes") }
        used = Int(count)
      }
    } catch let fault as Fault where fault.code == .notOffered {
      return nil
    }
  }

  /// Only while no other call runs.
  func commit(size: UInt64, checksum: ImageChecksum?) throws {
    guard let function = ops.commit else { return }
    let digits = checksum.map { Array($0.sha512.utf8CString) }
    try digits.withOptionalPointer { digits in
      try (checksum?.blockHashes).withOptionalPointer { hashes in
        var commit = drover_commit(
          struct_size: MemoryLayout<drover_commit>.size, size: size, sha512: digits?.baseAddress,
          block_hashes: hashes?.baseAddress,
          block_hash_count: UInt64((hashes?.count ?? 0) / Int(DROVER_HASH_LENGTH)))
        try call("commit") { function(handle, &commit, $0) }
      }
    }
  }

  /// Once, while no other call runs; a second time does nothing.
  func close() {
    guard isOpen else { return }
    isOpen = false
    activity.during(stage.name, "close", plugin: stage.plugin) { ops.close!(handle) }
    arguments.wipe()
  }
}

extension Fault.Code {
  /// A call that a device does not offer for this range or at all, which is no failure.
  static let notOffered: Self = "not-offered"
}

extension Optional {
  fileprivate func withOptionalPointer<Element, R>(
    _ body: (UnsafeBufferPointer<Element>?) throws -> R
  ) throws -> R where Wrapped == [Element] {
    guard let array = self else { return try body(nil) }
    return try array.withUnsafeBufferPointer { try body($0) }
  }
}
