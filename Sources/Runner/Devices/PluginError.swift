import CDroverPlugin
import DroverModel
import Glibc

extension LoadedStage {
  /// Calls a function that answers a count, with an error to fill.
  ///
  /// - Returns: What it answered, never negative.
  /// - Throws: What the plugin said went wrong, as a Fault.
  func count(
    _ call: String, _ activity: Activity, _ function: (UnsafeMutablePointer<drover_error>) -> Int64
  ) throws(Fault) -> Int64 {
    let error = UnsafeMutablePointer<drover_error>.allocate(capacity: 1)
    defer { error.deallocate() }
    error.initialize(to: drover_error())
    error.pointee.struct_size = MemoryLayout<drover_error>.size
    let answer = activity.during(name, call, plugin: plugin) { function(error) }
    guard answer < 0 else { return answer }
    throw Fault(error.pointee, stage: self, call: call)
  }

  /// The same for one that answers 0 or -1. Any other answer is refused: an author who returns a positive errno means a
  /// failure.
  func status(
    _ call: String, _ activity: Activity, _ function: (UnsafeMutablePointer<drover_error>) -> Int32
  ) throws(Fault) {
    let answer = try count(call, activity) { Int64(function($0)) }
    guard answer == 0 else { throw .misbehaved(self, call, "answered \(answer), allowed are 0 and -1") }
  }
}

extension Fault {
  private static let ofCodes = Set("abcdefghijklmnopqrstuvwxyz0123456789-".utf8)

  init(_ error: drover_error, stage: LoadedStage, call: String) {
    let given = withUnsafeBytes(of: error.code) { String(field: $0) }
    var message = withUnsafeBytes(of: error.message) { String(field: $0) }
    let hint = withUnsafeBytes(of: error.hint) { String(field: $0) }
    let domain = withUnsafeBytes(of: error.domain) { String(field: $0) }
    if message.isEmpty {
      message = "stage \(stage.name): \(call) failed and said nothing more (plugin \(stage.plugin))"
      if error.system_error != 0 { message += ": \(String(cString: strerror(error.system_error)))" }
    } else if domain.isEmpty || domain == stage.name {
      message = "\(stage.name): \(message)"
    } else {
      message = "\(stage.name) (\(domain)): \(message)"
    }
    let retry: Retry =
      switch error.retry {
      case DROVER_RETRY_TRANSIENT: .transient
      case DROVER_RETRY_AFTER_FIX: .afterFix
      default: .never
      }
    let isCode = !given.isEmpty && given.utf8.allSatisfy { Self.ofCodes.contains($0) }
    self.init(
      isCode ? Code(rawValue: given) : error.system_error == ENOSPC ? .noSpace : .io, message,
      hint: hint.isEmpty ? nil : hint, retry: retry)
  }

  /// A plugin answered what the ABI does not allow.
  static func misbehaved(_ stage: LoadedStage, _ call: String, _ what: String) -> Fault {
    Fault(
      .pluginMisbehaved, "plugin \(stage.plugin), stage \(stage.name), call \(call): \(what)",
      hint: "this is a fault of the plugin; tell its author")
  }
}

extension UnsafeMutablePointer<drover_error> {
  /// Tells a plugin what went wrong in a device of the host's.
  func fill(_ fault: Fault) {
    let all = UnsafeMutableRawBufferPointer(
      start: self, count: min(structSize(UnsafePointer(self)), MemoryLayout<drover_error>.size))
    func field<Value>(_ path: KeyPath<drover_error, Value>) -> UnsafeMutableRawBufferPointer? {
      let start = MemoryLayout<drover_error>.offset(of: path)!
      let end = start + MemoryLayout<Value>.size
      return end <= all.count ? UnsafeMutableRawBufferPointer(rebasing: all[start..<end]) : nil
    }
    let retry =
      switch fault.retry {
      case .never: DROVER_RETRY_NEVER
      case .transient: DROVER_RETRY_TRANSIENT
      case .afterFix: DROVER_RETRY_AFTER_FIX
      }
    field(\.retry)?.storeBytes(of: retry, as: UInt32.self)
    field(\.code)?.fill(text: fault.code.rawValue)
    field(\.message)?.fill(text: fault.message)
    field(\.hint)?.fill(text: fault.hint ?? "")
  }
}

extension UnsafeMutableRawBufferPointer {
  /// As much of the text as fits, on a character's end, and a NUL.
  fileprivate func fill(text: String) {
    var end = Swift.min(text.utf8.count, count - 1)
    let bytes = Array(text.utf8)
    while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    copyBytes(from: bytes[..<end])
    self[end] = 0
  }
}
