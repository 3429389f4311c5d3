import CLinux
import Glibc
import Synchronization

/// Which calls of stages a worker is in, in memory that outlives it: whoever started it reads there what it was about
/// when it died.
///
/// One side makes it and hands the descriptor to a child, which adopts it. A begun call costs a copy of three short texts.
@safe public final class CallNotes: Sendable {
  public struct Call: Sendable, Hashable {
    /// Of the ABI: `pread`.
    public var name: String
    public var stage: String
    /// Path of the plugin's file; of a long one the end.
    public var plugin: String
    /// A crash was in this call, rather than beside it.
    public var isCrash: Bool

    public init(name: String, stage: String, plugin: String, isCrash: Bool = false) {
      self.name = name
      self.stage = stage
      self.plugin = plugin
      self.isCrash = isCrash
    }
  }

  private struct State {
    var free: [Int]
    var number: UInt64 = 0
  }

  private static let count = 256
  private static let size = count * MemoryLayout<clinux_call>.stride
  private let file: OpenFile
  private nonisolated(unsafe) let slots: UnsafeMutablePointer<clinux_call>
  private let state = Mutex(State(free: Array((0..<count).reversed())))

  /// Makes the memory, all zero.
  public convenience init() throws(SystemError) {
    let file = try OpenFile.inMemory("drover-calls")
    try file.truncate(to: UInt64(Self.size))
    try self.init(file)
  }

  /// Takes over the descriptor.
  public convenience init(adopting descriptor: Int32) throws(SystemError) {
    try self.init(OpenFile(adopting: descriptor, path: "the notes of calls"))
  }

  private init(_ file: OpenFile) throws(SystemError) {
    self.file = file
    guard try file.size() == UInt64(Self.size) else { throw SystemError("map", path: file.path, errno: EINVAL) }
    let memory = unsafe mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { throw .last("map", path: file.path) }
    unsafe slots = memory.bindMemory(to: clinux_call.self, capacity: Self.count)
  }

  deinit { unsafe munmap(slots, Self.size) }

  public var descriptor: Int32 { file.descriptor }

  /// The calling thread enters a call. Nil where too many run already, which nobody needs to know.
  public func begin(_ name: String, stage: String, plugin: String) -> Int? {
    let place: (slot: Int, number: UInt64)? = state.withLock { state in
      guard let slot = state.free.popLast() else { return nil }
      state.number += 1
      return (slot, state.number)
    }
    guard let place else { return nil }
    var (name, stage, plugin) = (name, stage, plugin)
    name.withUTF8 { name in
      stage.withUTF8 { stage in
        plugin.withUTF8 { plugin in
          unsafe Self.note(slots + place.slot, place.number, name, stage, plugin)
        }
      }
    }
    return place.slot
  }

  private static func note(
    _ slot: UnsafeMutablePointer<clinux_call>, _ number: UInt64, _ name: UnsafeBufferPointer<UInt8>,
    _ stage: UnsafeBufferPointer<UInt8>, _ plugin: UnsafeBufferPointer<UInt8>
  ) {
    func text(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafePointer<CChar>? {
      unsafe UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
    }
    unsafe clinux_call_begin(
      slot, number, text(name) ?? text(stage), name.count, text(stage) ?? text(name), stage.count,
      text(plugin) ?? text(name), plugin.count)
  }

  public func end(_ slot: Int) {
    unsafe clinux_call_end(slots + slot)
    state.withLock { $0.free.append(slot) }
  }

  /// From now on a crash of this process marks the call that it is in. The notes must live as long as the process.
  public func markCrashes() { unsafe clinux_mark_crashes(slots, Self.count) }

  /// What is noted now: the call that crashed, if one did, else all that run, the latest first. The other side may
  /// have written anything.
  public var calls: [Call] {
    var found: [(number: UInt64, call: Call)] = []
    for index in 0..<Self.count {
      let slot = unsafe slots[index]
      guard slot.state != UInt32(CLINUX_CALL_FREE) else { continue }
      let call = Call(
        name: Self.text(slot.call), stage: Self.text(slot.stage), plugin: Self.text(slot.plugin),
        isCrash: slot.state == UInt32(CLINUX_CALL_CRASHED))
      found.append((slot.number, call))
    }
    let ordered = found.sorted { $0.number > $1.number }.map(\.call)
    let crashed = ordered.filter(\.isCrash)
    return crashed.isEmpty ? ordered : crashed
  }

  private static func text<Field>(_ field: Field) -> String {
    unsafe withUnsafeBytes(of: field) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
