import ChildProtocol
import CLua
import DroverModel
import Glibc

/// One script in a Lua state of its own. The C side says how its limits are kept.
@safe struct LuaState: ~Copyable {
  private let host: OpaquePointer
  private let file: String
  private let limits: PolicyLimits

  private init(_ host: OpaquePointer, _ file: String, _ limits: PolicyLimits) {
    unsafe self.host = host
    self.file = file
    self.limits = limits
  }

  deinit { unsafe clua_close(host) }

  /// The deadline counts from here.
  static func open(_ file: String, _ limits: PolicyLimits) throws(PolicyFailure) -> LuaState {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let start = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    var values = clua_limits(
      instructions: UInt64(max(0, limits.instructions)), memory: max(0, limits.memoryBytes),
      deadline: start + Int64(clamping: limits.deadlineMilliseconds) * 1_000_000,
      document: max(0, limits.documentBytes))
    guard let host = unsafe clua_open(&values) else {
      throw PolicyFailure(.memory, "\(file): there is no memory for a Lua state within \(limits.memoryBytes) bytes")
    }
    return unsafe LuaState(host, file, limits)
  }

  /// Parses it and runs its top level.
  mutating func load(_ script: PolicyScript) throws(PolicyFailure) {
    var source = script.source
    guard source.utf8.count <= limits.documentBytes else {
      throw PolicyFailure(.document, "\(file): the script is longer than \(limits.documentBytes) bytes")
    }
    let outcome = source.withUTF8 { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { text in
        unsafe clua_load(host, script.file, text.baseAddress, text.count)
      }
    }
    try check(outcome)
  }

  mutating func handles(_ point: PolicyPoint) -> Bool { unsafe clua_handles(host, point.rawValue) == 1 }

  mutating func ask(_ point: PolicyPoint, _ context: JSONValue) throws(PolicyFailure) -> JSONValue {
    let input = FlatDocument.bytes(of: context)
    guard input.count <= limits.documentBytes else {
      throw PolicyFailure(.document, "\(file): the context of \(point) is longer than \(limits.documentBytes) bytes")
    }
    let outcome = unsafe input.withUnsafeBufferPointer { bytes in
      unsafe clua_ask(host, point.rawValue, bytes.baseAddress, bytes.count)
    }
    try check(outcome)
    var length = 0
    let start = unsafe clua_answer(host, &length)
    let answer = unsafe [UInt8](UnsafeBufferPointer(start: start, count: length))
    guard let value = FlatDocument.value(of: answer) else {
      throw PolicyFailure(.document, "\(file): \(point) returned a string that is not UTF-8")
    }
    return value
  }

  /// What the script has printed so far; foreign bytes are replaced.
  var printed: String {
    var length = 0
    var more: Int32 = 0
    let start = unsafe clua_printed(host, &length, &more)
    let text = unsafe Self.text(start, length)
    return more == 0 ? text : text + "\n(more was printed than is kept)\n"
  }

  private func check(_ outcome: Int32) throws(PolicyFailure) {
    guard outcome != 0 else { return }
    let line = unsafe clua_line(host) > 0 ? Int(clua_line(host)) : nil
    let place = line.map { "\(file):\($0)" } ?? file
    switch Int(outcome) {
    case Int(CLUA_INSTRUCTIONS.rawValue):
      throw PolicyFailure(.instructions, "\(place): more than \(limits.instructions) instructions", line: line)
    case Int(CLUA_MEMORY.rawValue):
      throw PolicyFailure(.memory, "\(place): more than \(limits.memoryBytes) bytes of memory", line: line)
    case Int(CLUA_DEADLINE.rawValue):
      throw PolicyFailure(.deadline, "\(place): not done within \(limits.deadlineMilliseconds) ms", line: line)
    default:
      var length = 0
      let start = unsafe clua_message(host, &length)
      throw failure(Self.reason(outcome), unsafe Self.text(start, length))
    }
  }

  private static func reason(_ outcome: Int32) -> PolicyFailure.Reason {
    switch Int(outcome) {
    case Int(CLUA_SYNTAX.rawValue): .syntax
    case Int(CLUA_SHAPE.rawValue): .shape
    case Int(CLUA_DOCUMENT.rawValue): .document
    default: .runtime
    }
  }

  /// Lua puts `FILE:LINE:` before most of its messages.
  private func failure(_ reason: PolicyFailure.Reason, _ message: String) -> PolicyFailure {
    guard message.hasPrefix(file + ":") else { return PolicyFailure(reason, "\(file): \(message)") }
    let line = Int(message.dropFirst(file.count + 1).prefix { $0.isNumber })
    return PolicyFailure(reason, message, line: line)
  }

  private static func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
    unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : length), as: UTF8.self)
  }
}
