import LinuxSystem
import StageKit
import Synchronization

/// Swift stages for the bridge's tests.
enum Samples {
  static let plugin = Plugin(
    name: "samples", version: "2.5", requiredMinor: 0, stages: [MemoryStage.self, TaskStage.self, BareStage.self])
}

/// A device in memory. What it does beside that is told by `misbehave`.
enum MemoryStage: Stage {
  static let name = "memory"
  static let summary = "bytes in memory"
  static let roles: Roles = [.source, .sink, .filter]
  static let parallel = true
  static let network = true
  static let params: [String: Parameter]? = [
    "size": Parameter(required: true, "in bytes"), "misbehave": Parameter("how to go wrong, \"quoted\""),
  ]

  struct Params: Decodable {
    var size: UInt64
    var misbehave: String?
  }

  static let lastRequest = Mutex<[String]>([])
  static let open = Mutex(0)

  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try request.params(as: Params.self)
    if params.misbehave == "know nothing" { return nil }
    if params.misbehave == "long path" { return Plan(spacePath: "/" + String(repeating: "x", count: 1024)) }
    return Plan(
      size: params.size, dataSize: below?.dataSize, space: 7, spacePath: "/tmp",
      lock: String(repeating: "ä", count: 200),
      filePath: below?.filePath)
  }

  static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try request.params(as: Params.self)
    lastRequest.withLock {
      $0 = [
        "\(request.role)", "\(request.writable)", request.job, request.jobFolder, "\(request.attempt)",
        "\(request.concurrency)", "\(request.stallSeconds)", "\(request.checkpoint ?? [])",
        "\(request.secrets.map { "\($0.name)=\(Array($0.bytes))" })", "\(request.lower != nil)",
        "\(request.source != nil)",
      ]
    }
    return MemoryDevice(params, lower: request.lower)
  }

  static func discard(_ request: OpenRequest, host: any Host) throws {
    host.log(.warning, "discarded\nin two lines")
  }
}

final class MemoryDevice: Device {
  private let params: MemoryStage.Params
  private let lower: (any Device)?
  private var bytes: [UInt8]
  private var closed = 0

  init(_ params: MemoryStage.Params, lower: (any Device)?) {
    self.params = params
    self.lower = lower
    bytes = [UInt8](repeating: 0, count: Int(params.size))
    MemoryStage.open.withLock { $0 += 1 }
  }

  deinit { MemoryStage.open.withLock { $0 -= closed } }

  func close() { closed += 1 }

  func info() throws -> DeviceInfo {
    if params.misbehave == "info" { throw SystemError("fsync", path: "/x", errno: 28) }
    return DeviceInfo(
      size: params.size, blockPreferred: 4096, blockMax: 1 << 20, flags: [.writable, .imageFile],
      identity: "id-\(bytes.first ?? 0)", sha512: String(repeating: "ab", count: 64),
      blockHashes: [UInt8](repeating: 9, count: 64))
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    if let lower { return try lower.read(into: buffer, at: offset) }
    guard offset + UInt64(buffer.count) <= params.size else { throw outOfRange }
    buffer.copyBytes(from: bytes[Int(offset)..<(Int(offset) + buffer.count)])
    return buffer.count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    guard offset + UInt64(buffer.count) <= params.size else { throw outOfRange }
    bytes.replaceSubrange(Int(offset)..<(Int(offset) + buffer.count), with: buffer)
  }

  private var outOfRange: StageError {
    StageError("out-of-range", "beyond \(params.size) bytes", hint: "read less", retry: .afterFix, systemError: 22)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    switch params.misbehave {
    case "no extents": []
    case "a gap": [Extent(offset: offset + 1, length: 10, kind: .data)]
    default:
      [
        Extent(offset: 0, length: 100, kind: .data), Extent(offset: 100, length: 100, kind: .data),
        Extent(offset: 200, length: 300, kind: .zero), Extent(offset: 500, length: .max, kind: .absent),
      ]
    }
  }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    offset == 0 ? FileRange(descriptor: 77, offset: 4096) : nil
  }

  func checkpoint(offset: UInt64) throws -> [UInt8]? {
    switch offset {
    case 0: nil
    case 65537: [UInt8](repeating: 1, count: 65537)
    default: [1, 2, 3, UInt8(truncatingIfNeeded: offset)]
    }
  }

  func commit(_ commit: Commit) throws {
    throw StageError(
      "told", "\(commit.size) \(commit.sha512 ?? "none") \(commit.blockHashes.map { "\($0.count)" } ?? "none")")
  }

  func control(verb: String, json: String) throws -> String {
    guard verb == "echo" else { throw StageError("not-supported", "no verb \(verb)") }
    return json
  }
}

enum TaskStage: Stage {
  static let name = "task"
  static let summary = "does something"
  static let roles: Roles = .task

  static func run(_ request: OpenRequest, host: any Host) throws {
    host.phase("thinking", detail: nil)
    host.phase("waiting", detail: "for it")
    host.progress(done: 3, total: 9)
    host.emit("result", json: request.params)
    host.log(.info, "ready")
    if host.isCancelled { throw StageError.cancelled }
    if request.params.contains("boom") { throw Boom() }
  }

  struct Boom: Error {}
}

/// Only what a stage must have.
enum BareStage: Stage {
  static let name = "bare"
  static let summary = "does as little as it can"
  static let roles: Roles = [.source, .sink]
  static func open(_ request: OpenRequest, host: any Host) throws -> any Device { BareDevice() }
}

final class BareDevice: Device {
  func info() throws -> DeviceInfo { DeviceInfo(size: nil) }
}
