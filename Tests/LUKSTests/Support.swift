import CryptoStage
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

let noise: [UInt8] = {
  var generator = Noise(seed: 4)
  return generator.bytes(5 << 20)
}()

/// With a line end and a NUL in it: bytes count exactly.
let passphrase = Array("correct horse\n\0battery".utf8)
let fast = #""pbkdf": "argon2id", "pbkdfForceIterations": 4, "pbkdfMemory": 32"#
let fastOptions = ["--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "32"]

final class RecordingHost: Host {
  let records = Mutex<[(kind: String, json: String)]>([])
  let lines = Mutex<[String]>([])
  let phases = Mutex<[String]>([])
  let cancelled = Mutex(false)

  func log(_ level: LogLevel, _ message: String) { lines.withLock { $0.append(message) } }
  var isCancelled: Bool { cancelled.withLock { $0 } }
  func emit(_ kind: String, json: String) { records.withLock { $0.append((kind, json)) } }
  func phase(_ phase: String, detail: String?) { phases.withLock { $0.append(phase) } }
  func progress(done: UInt64, total: UInt64) {}
}

/// Bytes in memory that grow as they are written, and of which the nth call fails. A file's, since arrays of many
/// mebibytes are slow without optimisation.
final class MemoryDevice: Device, Sendable {
  struct State {
    var calls = 0
    var failing: Int?
  }
  private let state = Mutex(State())
  private let file: OpenFile
  private let isNew: Bool

  /// - Parameter isNew: Its size is not known, as of an image that is being made.
  init(_ bytes: [UInt8] = [], isNew: Bool = false) {
    let file = try! OpenFile.inMemory("test")
    bytes.withUnsafeBytes { try! file.write($0, at: 0) }
    self.file = file
    self.isNew = isNew
  }

  var bytes: [UInt8] {
    let size = Int(try! file.size())
    return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = try! file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
    }
  }
  var calls: Int { state.withLock { $0.calls } }

  /// From now on the nth call throws, counted from 0.
  func fail(_ n: Int?) { state.withLock { $0 = State(failing: n) } }

  private func count() throws {
    try state.withLock { state in
      defer { state.calls += 1 }
      if state.failing == state.calls { throw StageError("io", "scripted") }
    }
  }

  func info() throws -> DeviceInfo {
    DeviceInfo(size: isNew ? nil : try file.size(), flags: isNew ? [.writable, .imageFile] : .imageFile)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try count()
    let count = try file.read(into: buffer, at: offset)
    guard isNew else { return count }
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    return buffer.count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try count()
    try file.write(buffer, at: offset)
  }

  func flush() throws { try count() }
}

/// Opens a stage with secrets that stay where they are as long as `body` runs.
func withDevice<R>(
  _ stage: any Stage.Type = CryptoStage.self, over lower: any Device, params: String = "{}",
  secrets: [String: [UInt8]] = ["passphrase": passphrase], writable: Bool = false, source: (any Device)? = nil,
  checkpoint: [UInt8]? = nil, attempt: Int = 1, jobFolder: String = "/nonexistent", host: any Host = RecordingHost(),
  _ body: (any Device) throws -> R
) throws -> R {
  let memory = secrets.map { name, bytes in
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    buffer.copyBytes(from: bytes)
    return (name: name, buffer: buffer, count: bytes.count)
  }
  defer { memory.forEach { $0.buffer.deallocate() } }
  let request = OpenRequest(
    role: .filter, writable: writable, params: params,
    secrets: memory.map {
      OpenRequest.Secret(name: $0.name, bytes: UnsafeRawBufferPointer(rebasing: $0.buffer[..<$0.count]))
    }, job: "j1", jobFolder: jobFolder, attempt: attempt, checkpoint: checkpoint, lower: lower, source: source)
  let device = try stage.open(request, host: host)
  defer { device.close() }
  return try body(device)
}

/// What Drover makes of these plain bytes.
func encrypted(_ plain: [UInt8], params: String = fast, host: any Host = RecordingHost()) throws -> [UInt8] {
  let lower = MemoryDevice(isNew: true)
  try withDevice(
    over: lower, params: "{\"format\": true, \(params)}", writable: true, source: MemoryDevice(plain), host: host
  ) { device throws in
    try plain.withUnsafeBytes { try device.write($0, at: 0) }
    try device.flush()
  }
  return lower.bytes
}

func read(_ device: any Device, _ length: Int, at offset: Int) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: length)
  let count = try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: UInt64(offset)) }
  return Array(bytes[..<count])
}

func decrypted(_ bytes: [UInt8], secret: [UInt8] = passphrase, host: any Host = RecordingHost()) throws -> [UInt8] {
  try withDevice(over: MemoryDevice(bytes), secrets: ["passphrase": secret], host: host) { device throws in
    try read(device, Int(try #require(device.info().size)), at: 0)
  }
}

func stageError(_ body: () throws -> Void) throws -> StageError {
  do { try body() } catch let error as StageError { return error }
  throw Cryptsetup.Failed(description: "no error was thrown")
}

func write(_ bytes: [UInt8], to path: String) throws {
  try Folder.writeDurably(path, bytes)
}

func contents(_ path: String) throws -> [UInt8] { try Folder.readFile(path, limit: 256 << 20) }
