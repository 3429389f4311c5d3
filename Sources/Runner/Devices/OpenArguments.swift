import CDroverPlugin
import ChildProtocol
import DroverModel
import FoundationEssentials

/// The `drover_open` of one stage, with all that it points to. Valid, at one address, as long as this object lives.
final class OpenArguments {
  let pointer: UnsafePointer<drover_open>
  private let open: UnsafeMutablePointer<drover_open>
  private let secrets: [SecretCopy]
  private let secretTable: UnsafeMutableBufferPointer<drover_secret>
  private var memory: [UnsafeMutableRawPointer] = []
  private let devices: [ExportedDevice]

  var isWritable: Bool { open.pointee.writable != 0 }

  /// - Parameters:
  ///   - checkpoint: The stage's token, or nil to begin anew.
  ///   - lower: For a filter.
  ///   - source: For the writing side.
  init(
    _ stage: Pipeline.Stage, writable: Bool, order: OrderContext, secrets: [(name: String, bytes: SecretBytes)],
    checkpoint: [UInt8]? = nil, lower: ExportedDevice? = nil, source: ExportedDevice? = nil
  ) throws {
    let json = try JSONEncoder().encode(stage.params)
    self.secrets = secrets.map { SecretCopy($0.bytes) }
    devices = [lower, source].compactMap { $0 }
    secretTable = .allocate(capacity: secrets.count)
    open = .allocate(capacity: 1)
    open.initialize(to: drover_open())
    pointer = UnsafePointer(open)
    for (index, secret) in secrets.enumerated() {
      let bytes = self.secrets[index].bytes
      secretTable.initializeElement(
        at: index, to: drover_secret(name: keep(secret.name), bytes: bytes.baseAddress, length: bytes.count))
    }
    open.pointee.struct_size = MemoryLayout<drover_open>.size
    open.pointee.role = stage.role.abi
    open.pointee.writable = writable ? 1 : 0
    open.pointee.params = keep(String(decoding: json, as: UTF8.self))
    open.pointee.secrets = secrets.isEmpty ? nil : UnsafePointer(secretTable.baseAddress)
    open.pointee.secret_count = secrets.count
    open.pointee.job = keep(order.job)
    open.pointee.job_folder = keep(order.jobFolder)
    open.pointee.attempt = UInt32(clamping: max(1, order.attempt))
    open.pointee.concurrency = UInt32(clamping: order.concurrency)
    open.pointee.stall_seconds = UInt32(clamping: order.stallSeconds)
    if let checkpoint {
      let token = UnsafeMutableRawPointer.allocate(byteCount: max(1, checkpoint.count), alignment: 16)
      token.copyMemory(from: checkpoint, byteCount: checkpoint.count)
      memory.append(token)
      open.pointee.checkpoint = UnsafeRawPointer(token)
      open.pointee.checkpoint_length = checkpoint.count
    }
    open.pointee.lower = lower?.pointer
    open.pointee.source = source?.pointer
  }

  deinit {
    secretTable.deallocate()
    open.deallocate()
    memory.forEach { $0.deallocate() }
  }

  /// Overwrites the secrets: the stage is closed.
  func wipe() { secrets.forEach { $0.wipe() } }

  private func keep(_ text: String) -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8CString)
    let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
    copy.copyMemory(from: bytes, byteCount: bytes.count)
    memory.append(copy)
    return UnsafePointer(copy.assumingMemoryBound(to: CChar.self))
  }
}

/// What all stages of an order are opened with.
struct OrderContext: Sendable {
  var job: String
  var jobFolder: String
  var attempt: Int
  var concurrency: Int
  var stallSeconds: Int
}
